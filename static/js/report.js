// The panel with which an answer is reported, on every page that shows answers.

// Enter in a field would press the first button of its form: a reason that nobody chose.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches?.("[data-report] input")) event.preventDefault();
}, true);

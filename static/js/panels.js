// The panels that open from a button: to report an answer, on every page that shows answers, and to
// skip an item.

const FIRST = "input[type=radio], button";
const OPEN = "[data-report][open], [data-skip][open]";

// It closes when something else is clicked or with Esc, and opens onto what comes first.
document.addEventListener("click", (event) => {
  for (const panel of document.querySelectorAll(OPEN)) if (!panel.contains(event.target)) panel.open = false;
});
document.addEventListener("toggle", (event) => {
  if (event.target.matches?.(OPEN)) event.target.querySelector(FIRST).focus();
}, true);

document.addEventListener("keydown", (event) => {
  const panel = event.target.closest?.(OPEN);
  if (!panel) return;
  // Enter in a field would press the first button of its form: a reason that nobody chose.
  if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
  if (event.key === "Escape") {
    panel.open = false;
    panel.querySelector("summary").focus();
  }
}, true);

// What was pressed is gone with the panel that it stood in.
document.addEventListener("htmx:afterSettle", (event) => {
  if (document.activeElement !== document.body || !event.target.matches("[data-report], [data-judged]")) return;
  const panel = event.target.matches("[data-report]") ? event.target : event.target.querySelector("[data-report]");
  panel.querySelector(panel.open ? FIRST : "summary").focus();
});

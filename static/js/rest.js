// Where nothing is left to do: the key that undoes still does.

const form = document.querySelector("[data-undo-key]");

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.repeat || event.altKey || event.target.matches("input")) return;
  const withControl = event.ctrlKey || event.metaKey;
  const isUndo = withControl ? event.key === "z" : event.key === form?.dataset.undoKey;
  if (form && isUndo) form.requestSubmit();
});

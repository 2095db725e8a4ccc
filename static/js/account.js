// A key is chosen by pressing it. Tab and Escape still move the focus, and what is pressed with
// Ctrl, Alt or Meta stays the browser's.

const names = JSON.parse(document.getElementById("key-names").textContent);

document.addEventListener("keydown", (event) => {
  const field = event.target.closest?.(".key-field input");
  if (!field || event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
  const name = names[event.key] ?? (event.key.length === 1 ? event.key : null);
  if (name === null) return;
  event.preventDefault();
  field.value = name;
});

// A key that is still held when the focus has gone elsewhere, as to the next item, was not meant
// for what has it now: it would type there, or press it.

let pressedIn = null;

document.addEventListener("keydown", (event) => {
  if (!event.repeat) {
    pressedIn = event.target;
    return;
  }
  const writes = event.key.length === 1 || event.key === "Enter";
  if (writes && pressedIn !== event.target) event.preventDefault();
}, true);

// Deciding with the keys of the labelling pages: what stands on a choice chooses it, then the
// reason is next; Ctrl + Enter decides. Without this the form works all the same.

const form = document.querySelector("[data-decision]");
const TYPING = "textarea, select, input:not([type=radio])";

function choose(key) {
  const named = [...form.querySelectorAll("label:has(kbd)")]
    .find((label) => label.querySelector("kbd").textContent.trim() === key);
  if (!named) return false;
  named.querySelector("input").checked = true;
  form.elements.reason.focus();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.repeat || event.isComposing || event.altKey) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
    event.preventDefault();
    form.requestSubmit();
  } else if (!event.ctrlKey && !event.metaKey && !event.target.matches(TYPING) && choose(event.key)) {
    event.preventDefault();
  }
});

// New guidelines: Enter goes on, but not one that is still held from the item before.

import "./held.js";

document.querySelector("[data-acknowledge]").focus({ preventScroll: true });

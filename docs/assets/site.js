// What the theme leaves to do: a wide table scrolls by keyboard, and a column without a title has no empty header.
function improve() {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap, pre > code")) box.tabIndex = 0;
  for (const header of document.querySelectorAll("th:empty")) {
    const cell = document.createElement("td");
    header.replaceWith(cell);
  }
}
document.addEventListener("DOMContentLoaded", improve);
new MutationObserver(improve).observe(document.documentElement, { childList: true, subtree: true });

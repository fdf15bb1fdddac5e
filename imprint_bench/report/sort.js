"use strict";
// Sort a table by the column whose heading is clicked; empty cells stay last.
const keyOf = (cell) => cell.dataset.key ?? cell.textContent;
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, i) => head.firstElementChild.addEventListener("click", () => {
    const now = head.getAttribute("aria-sort");
    const next = now === null ? head.dataset.first : now === "ascending" ? "descending" : "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    const number = head.classList.contains("number");
    const order = new Intl.Collator(undefined, { numeric: true });
    const keyed = [...body.rows].map((row) => [keyOf(row.cells[i]), row]);
    keyed.sort(([x], [y]) => {
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (number ? x - y : order.compare(x, y));
    });
    body.append(...keyed.map(([, row]) => row));
  }));
}

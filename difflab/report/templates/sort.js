
"use strict";
// Tables sort by the buttons in their headings; without this script they are plain tables in the order of the study.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const live = table.closest("section").querySelector(".live");
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (heads[column].classList.contains("number")) {
      return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
    }
    return cell.textContent === "" ? null : cell.innerText;
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  heads.forEach((head, column) => {
    const name = head.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const after = before === "ascending" ? "descending" : before === "descending" ? "none" : "ascending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", after);
      const sign = after === "descending" ? -1 : 1;
      const rows = original.slice();
      if (after !== "none") {
        rows.sort((first, second) => {
          const a = keyOf(first, column);
          const b = keyOf(second, column);
          if (a === null || b === null) return (a === null) - (b === null); // what is missing comes last, either way
          return sign * compare(a, b);
        });
      }
      body.append(...rows);
      if (live) live.textContent = after === "none" ? "In the order of the study." : `Sorted by ${name}, ${after}.`;
    });
  });
}

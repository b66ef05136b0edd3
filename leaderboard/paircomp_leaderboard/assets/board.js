// Sorting, searching and filtering of the boards. Ranks come from paired tests and never change with the order of rows.
"use strict";

(() => {
  function setUp(board) {
    const table = board.querySelector("table.board");
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const count = board.querySelector(".count");
    const form = board.querySelector("form");

    function sort(button) {
      const head = button.closest("th");
      const column = Number(button.dataset.column);
      const upFirst = button.dataset.first === "ascending";
      const now = head.getAttribute("aria-sort");
      const way = now === "ascending" ? "descending" : now === "descending" ? "ascending" : upFirst ? "ascending" : "descending";
      for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", way);
      const key = (row) => row.cells[column].dataset.value;
      const compare = (x, y) => {
        const [a, b] = [key(x), key(y)];
        if (a === undefined || b === undefined) return (a === undefined) - (b === undefined); // missing values stay last
        const [p, q] = [Number(a), Number(b)];
        const less = Number.isNaN(p) || Number.isNaN(q) ? a.localeCompare(b) : p - q;
        return way === "ascending" ? less : -less;
      };
      body.append(...[...rows].sort(compare));
    }

    function filter() {
      const search = form.elements.search.value.trim().toLowerCase();
      const only = form.elements.only.value;
      let shown = 0;
      for (const row of rows) {
        const fits = (!search || row.dataset.words.includes(search)) && (!only || row.dataset.kinds.split(" ").includes(only));
        row.hidden = !fits;
        shown += fits;
      }
      count.textContent = shown === rows.length ? `${rows.length} models` : `${shown} of ${rows.length} models`;
    }

    for (const button of table.tHead.querySelectorAll("button")) button.addEventListener("click", () => sort(button));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      filter();
      table.dataset.columns = form.elements.columns.value;
    });
    form.hidden = false;
    filter();
    table.dataset.columns = form.elements.columns.value;
  }

  for (const board of document.querySelectorAll("section.board-section")) setUp(board);
})();

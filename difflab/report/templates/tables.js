// Tables sort by the buttons in their headings and are filtered by a field above them; without this script they are
// plain tables in the order of the study.
const FILTERED = 6; // rows from which a filter helps
const collator = new Intl.Collator("en", { numeric: true });
const slug = (text) =>
  text.normalize("NFKD").toLowerCase().replace(/[^a-z0-9.]+/g, "-").replace(/^[-.]+|[-.]+$/g, "") || "column";
const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u00a0");

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// The parts of a cell, such as a name and what stands below it, without icons.
const linesOf = (cell) =>
  Array.from((cell.querySelector("button.pick") || cell).childNodes)
    .filter((node) => node.nodeType === Node.TEXT_NODE || !node.hasAttribute("aria-hidden"))
    .map((node) => node.textContent.trim());

// Rows that a sorting moves or a filter shows again are laid out in turns: the first at once, as many as are seen, the
// others while the reader looks at them.
const FIRST = 60;
const TURN = 120;
function inTurns() {
  let waiting = new Set();
  const turn = () => {
    const now = [...waiting].slice(0, TURN);
    for (const row of now) {
      waiting.delete(row);
      row.classList.remove("late");
    }
    if (waiting.size) later();
  };
  const later = () => requestAnimationFrame(() => setTimeout(turn));
  return (rows) => {
    const idle = waiting.size === 0;
    for (const row of rows.slice(0, FIRST)) {
      waiting.delete(row);
      row.classList.remove("late");
    }
    const more = rows.slice(FIRST);
    for (const row of more) row.classList.add("late");
    waiting = new Set([...more, ...waiting]);
    if (idle && waiting.size) later();
  };
}

function interactive(table, facets) {
  const prefix = table.dataset.name ? `${table.dataset.name}.` : "";
  const rows = Array.from(table.tBodies[0].rows); // in the order of the study
  const live = table.closest("section").querySelector(".live");
  const layOut = inTurns();
  sortable(table, rows, prefix, live, layOut);
  if (rows.length >= FILTERED) filterable(table, rows, prefix, facets, layOut);
}

function sortable(table, rows, prefix, live, layOut) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  const columns = new Map(); // slug: heading, name and keys of a column
  const keysOf = (place, numeric) =>
    new Map(
      rows.map((row) => {
        const cell = row.cells[place];
        if (numeric) return [row, cell.dataset.v === undefined ? null : Number(cell.dataset.v)];
        return [row, linesOf(cell).join("\n") || null];
      }),
    );
  heads.forEach((head, place) => {
    const name = head.firstChild ? head.firstChild.textContent.trim() : "";
    let short = slug(name);
    while (columns.has(short)) short += "-2";
    const column = { head, name, place, numeric: head.classList.contains("number"), keys: null };
    columns.set(short, column);
    const button = element("button", { type: "button", class: "sort" }, name);
    if (head.firstChild) head.firstChild.replaceWith(button);
    else head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      change({ [`${prefix}sort`]: now === "ascending" ? `${short}.desc` : now === "descending" ? "" : `${short}.asc` });
    });
  });
  let shown = "";
  register(`${prefix}sort`, (value) => {
    const way = /^(.+)\.(asc|desc)$/.exec(value);
    return way && columns.has(way[1]) ? value : "";
  });
  onState(() => {
    const wanted = state.get(`${prefix}sort`) || "";
    if (wanted === shown) return;
    shown = wanted;
    const [, short, way] = /^(.+)\.(asc|desc)$/.exec(wanted) || [];
    const column = columns.get(short);
    for (const head of heads) head.setAttribute("aria-sort", "none");
    const ordered = rows.slice();
    if (column) {
      column.head.setAttribute("aria-sort", way === "asc" ? "ascending" : "descending");
      column.keys ||= keysOf(column.place, column.numeric);
      const sign = way === "asc" ? 1 : -1;
      ordered.sort((first, second) => {
        const a = column.keys.get(first);
        const b = column.keys.get(second);
        if (a === null || b === null) return (a === null) - (b === null); // what is missing comes last, either way
        return sign * (column.numeric ? a - b : collator.compare(a, b));
      });
    }
    layOut(ordered.filter((row) => !row.hidden));
    const together = document.createDocumentFragment();
    for (const row of ordered) together.append(row);
    body.append(together);
    if (!live) return;
    const words = way === "asc" ? "ascending" : "descending";
    live.textContent = column ? `Sorted by ${column.name}, ${words}.` : "In the order of the study.";
  });
}

function filterable(table, rows, prefix, facets, layOut) {
  const caption = table.caption.textContent;
  const id = `filter-${table.dataset.name || "rows"}`;
  const field = element("input", { type: "search", id, autocomplete: "off", spellcheck: "false" });
  const count = element("p", { class: "count", role: "status" });
  const all = element("button", { type: "button" }, "Show all");
  const bar = element("div", { class: "tools", role: "group", "aria-label": `Filter of: ${caption}` });
  bar.append(element("p", {}, element("label", { for: id }, "Rows with the words"), field));
  const keys = [`${prefix}filter`];
  register(keys[0], (value) => value.trimStart());
  field.addEventListener("input", () => change({ [keys[0]]: field.value }, id));
  field.addEventListener("change", () => (running = ""));
  const selects = facets.map(([name, values, places]) => {
    const key = prefix + slug(name);
    const select = element("select", { id: `${id}-${slug(name)}` }, new Option("all", ""));
    select.append(...values.map((value) => new Option(value, value)));
    bar.append(element("p", {}, element("label", { for: select.id }, name), select));
    register(key, (value) => (values.includes(value) ? value : ""));
    keys.push(key);
    select.addEventListener("change", () => change({ [key]: select.value }));
    return { key, select, values, places };
  });
  all.addEventListener("click", () => {
    change(Object.fromEntries(keys.map((key) => [key, ""])));
    field.focus();
  });
  bar.append(all, count);
  table.parentNode.before(bar);
  let texts = null;
  let shown = null;
  onState(() => {
    const typed = state.get(keys[0]) || "";
    const wanted = selects.map(({ key, values }) => values.indexOf(state.get(key) ?? null));
    const now = JSON.stringify([typed, wanted]);
    if (now === shown) return;
    shown = now;
    if (field.value.trimStart() !== typed) field.value = typed;
    selects.forEach(({ key, select }) => (select.value = state.get(key) || ""));
    const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) {
      texts ||= rows.map((row) => Array.from(row.cells, (cell) => linesOf(cell).join(" ")).join(" ").toLowerCase());
    }
    let number = 0;
    const again = [];
    rows.forEach((row, place) => {
      const fits =
        wanted.every((value, at) => value < 0 || selects[at].places[place] === value) &&
        words.every((word) => texts[place].includes(word));
      number += fits;
      if (row.hidden !== fits) return;
      if (fits) again.push(row);
      row.hidden = !fits;
    });
    layOut(again);
    count.textContent = `${grouped(number)} of ${grouped(rows.length)} rows`;
    all.disabled = number === rows.length && !typed && wanted.every((value) => value < 0);
  });
}

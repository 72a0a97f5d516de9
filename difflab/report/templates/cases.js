// A row of the table of all rows opens the details of its case: everything known of it, and its raw samples.
function selectable(table, details) {
  const rows = Array.from(table.tBodies[0].rows);
  const keys = rows.map((row) => row.id.replace(/^case=/, ""));
  const places = new Map(keys.map((key, place) => [key, place]));
  const nameOf = (head) => (head.firstChild ? head.firstChild.textContent : "");
  const headings = Array.from(table.tHead.rows[0].cells, nameOf);
  const heading = element("h3", { id: "selected-h", tabindex: "-1" });
  const panel = element("div", { id: "selected", class: "case", role: "region", "aria-labelledby": "selected-h" });
  panel.hidden = true;
  const section = table.closest("section");
  section.append(panel);
  const also = details.samples.some(Boolean) ? ", and its raw samples" : "";
  const opens = `The name in the first column opens all that is known of a row${also}.`;
  const hint = element("p", { class: "note hint" }, opens);
  (section.querySelector(".tools") || table.parentNode).before(hint);
  rows.forEach((row) => {
    const button = element("button", { type: "button", class: "pick", "aria-controls": "selected" });
    button.setAttribute("aria-expanded", "false");
    button.append(...row.cells[0].childNodes);
    row.cells[0].append(button);
  });
  const buttonOf = (place) => rows[place].cells[0].firstChild;
  table.tBodies[0].addEventListener("click", (event) => {
    const button = event.target.closest("button.pick");
    if (!button) return;
    const key = keys[rows.indexOf(button.closest("tr"))];
    change({ case: state.get("case") === key ? "" : key });
    if (state.has("case")) showPanel(true);
  });
  const close = () => {
    const place = places.get(state.get("case"));
    change({ case: "" });
    if (place !== undefined && !rows[place].hidden) {
      rows[place].classList.remove("late");
      buttonOf(place).focus();
    } else section.querySelector("button, input").focus();
  };
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.querySelector(":popover-open")) close();
  });
  function showPanel(focus) {
    panel.scrollIntoView({ block: "nearest" });
    if (focus) heading.focus({ preventScroll: true });
  }

  register("case", (value) => (places.has(value) ? value : ""));
  let shown = "";
  let redraw = null;
  onState(() => {
    const wanted = state.get("case") || "";
    if (wanted === shown) return;
    if (shown) mark(places.get(shown), false);
    shown = wanted;
    panel.hidden = !wanted;
    redraw = null;
    if (!wanted) return panel.replaceChildren();
    mark(places.get(wanted), true);
    fill(places.get(wanted));
  });
  window.addEventListener("resize", () => redraw && redraw());

  function mark(place, on) {
    if (on) rows[place].setAttribute("aria-current", "true");
    else rows[place].removeAttribute("aria-current");
    buttonOf(place).setAttribute("aria-expanded", String(on));
  }

  function fill(place) {
    const cells = Array.from(rows[place].cells);
    const where = cells.filter((cell, at) => ["Dtype", "Device", "Operator"].includes(headings[at]));
    const title = [...linesOf(cells[0]), ...where.map((cell) => cell.textContent)].filter(Boolean).join(", ");
    const facts = element("dl", { class: "facts" });
    const add = (name, text) => facts.append(element("div", {}, element("dt", {}, name), element("dd", {}, text)));
    const outcome = element("p", { class: "outcome" });
    cells.forEach((cell, at) => {
      if (at === 0 || !cell.textContent) return;
      if (headings[at] === "Outcome") outcome.prepend(...cell.cloneNode(true).childNodes);
      else if (headings[at] === "Reason") outcome.append(`: ${cell.textContent}`);
      else add(headings[at], cell.textContent);
    });
    const more = details.rest[place] || [];
    for (let at = 0; at < more.length; at += 2) add(details.columns[more[at]], more[at + 1]);
    const closing = element("button", { type: "button" }, "Close");
    closing.addEventListener("click", close);
    heading.textContent = title;
    const acts = element("p", { class: "acts" }, closing);
    panel.replaceChildren(heading, outcome, acts, facts);
    const stored = details.samples[place];
    const measured = element("div", { class: "measured" }, element("h4", {}, "Raw samples"));
    facts.before(measured);
    if (!stored) {
      measured.append(element("p", { class: "missing" }, "There are none: nothing of this case was timed."));
      return;
    }
    const samples = decodedSamples(stored);
    acts.prepend(saveButton(samples, keys[place]));
    measured.append(element("p", { class: "note" }, noteOf(samples)));
    let picture = element("p");
    measured.append(picture, numbersOf(samples, title));
    redraw = () => {
      const drawn = strip(samples, title, Math.max(260, Math.min(860, measured.clientWidth)));
      picture.replaceWith(drawn);
      picture = drawn;
    };
    redraw();
  }
  return { showPanel };
}

function noteOf({ processes, pooled }) {
  const held = processes.reduce((sum, one) => sum + one.values.length, 0);
  const every = processes.reduce((sum, one) => sum + one.every, 0);
  const rows = pooled ? "of any process" : "and a row of dots for each process";
  const words = `a dot for each, ${rows}, a line at the median. The axis need not begin at 0.`;
  if (held === every) return `${grouped(every)} ${every === 1 ? "sample" : "samples"}: ${words}`;
  return `${grouped(held)} of ${grouped(every)} samples, at even distances in order of size, with the least and the ` +
    `largest: ${words} The medians are those of all samples; difflab export RUN --table samples writes all.`;
}

function numbersOf(samples, title) {
  const { processes, unit, write, pooled } = samples;
  const table = element("table", { class: "plain" }, element("caption", { class: "hidden" }, `Samples of ${title}`));
  const head = table.createTHead().insertRow();
  const columns = ["Process", "Samples", `Least, ${unit}`, `Median, ${unit}`, `Largest, ${unit}`, `Each, ${unit}`];
  for (const name of columns) head.append(element("th", { scope: "col" }, name));
  const body = table.createTBody();
  processes.forEach((one, place) => {
    const row = body.insertRow();
    row.append(element("th", { scope: "row" }, pooled ? "all" : String(place + 1)));
    const held = one.every === one.values.length ? "" : `${grouped(one.values.length)} of `;
    const cells = [held + grouped(one.every), write(one.least), write(one.median), write(one.most)];
    row.append(...cells.map((text) => element("td", {}, text)));
    row.append(element("td", { class: "long" }, one.values.map((value) => write(value)).join(", ")));
  });
  const name = `Samples of ${title}`;
  const region = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, table);
  return element("details", {}, element("summary", {}, "The numbers of this figure"), region);
}

function saveButton({ processes, power, pooled }, key) {
  const button = element("button", { type: "button" }, "Save as CSV");
  button.addEventListener("click", () => {
    const lines = ["case,process,sample,seconds"];
    processes.forEach((one, place) => {
      const process = pooled ? "" : place + 1;
      one.values.forEach((value, at) => lines.push(`${key},${process},${at + 1},${value}e${power}`));
    });
    const address = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
    element("a", { href: address, download: `${key}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  });
  return button;
}

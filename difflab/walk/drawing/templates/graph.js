// Steps through the drawing and folds its groups.  Where things are is computed as in walk/drawing/coordinates.py.
// In a function of its own: other scripts of a page and this one share no names.  It may stand above the drawing.
(() => {
"use strict";
function start() {
const at = (id) => document.getElementById(`dg-${id}`);
const root = document.getElementById("dg");
const graph = JSON.parse(at("data").textContent);
const { down, scenes, tell } = graph;
const { separation, gap, widestGap, steep, pad, bar, sweeps, straight } = graph.sizes;
const open = new Set(graph.open);
const SMALLEST = 0.75;

// ---------------------------------------------------------------------------- coordinates

function place(key) {
  const scene = scenes[key];
  const inner = scene.items.map(([name]) => (scenes[name] && open.has(name) ? place(name) : null));
  const sizes = scene.items.map(([, width, height], item) => (inner[item] ? [inner[item].width, inner[item].height] : [width, height]));
  const across = sizes.map((size) => size[down ? 0 : 1]);
  const along = sizes.map((size) => size[down ? 1 : 0]);
  const leaves = ([start, , out, outs]) =>
    inner[start] ? inner[start].outs[out] - across[start] / 2 : ((out + 1) / (outs + 1) - 0.5) * across[start];
  const comes = ([, end, , , into, ins]) =>
    inner[end] ? inner[end].ins[into] - across[end] / 2 : ((into + 1) / (ins + 1) - 0.5) * across[end];
  // Of the ways in and the ways out of every item: the other one, how far from it this one wants to be, how much.
  const near = [sizes.map(() => []), sizes.map(() => [])];
  for (const joint of scene.joints) {
    const [start, end, , , , , weight] = joint;
    const shift = leaves(joint) - comes(joint);
    const force = weight * straight ** ((along[start] === 0) + (along[end] === 0));
    near[0][end].push([start, shift, force]);
    near[1][start].push([end, -shift, force]);
  }

  const middle = spread(scene, across, near);
  const rank = [];
  scene.ranks.forEach((items, k) => items.forEach((item) => (rank[item] = k)));
  const bands = bandsOf(scene, along, middle, rank, leaves, comes);
  const framed = key !== "g0";
  let low = Math.min(...middle.map((m, item) => m - across[item] / 2));
  const high = Math.max(...middle.map((m, item) => m + across[item] / 2));
  let wide = high - low + 2 * pad;
  let long = bands[bands.length - 1][1];
  if (framed && down) {
    const missing = Math.max(scene.title - wide, 0);
    low -= missing / 2;
    wide += missing;
  } else if (framed && scene.title > long) {
    bands[bands.length - 1] = [scene.title, scene.title];
    long = scene.title;
  }
  const before = framed ? (down ? bar : 0) : pad;
  const after = framed ? 0 : pad;
  const above = framed && !down ? bar : 0;
  middle.forEach((m, item) => (middle[item] = m - low + pad + above));
  bands.forEach(([start, stop], k) => (bands[k] = [start + before, stop + before]));
  const heart = middle.map((_, item) => (bands[rank[item]][0] + bands[rank[item]][1]) / 2);
  const joints = new Map(scene.joints.map((joint) => [`${joint[0]} ${joint[1]}`, joint]));
  const point = (a, b) => (down ? `${a.toFixed(1)} ${b.toFixed(1)}` : `${b.toFixed(1)} ${a.toFixed(1)}`);

  for (const [name, chain] of scene.ways) {
    const last = chain[chain.length - 1];
    let text = "";
    let two = 0;
    for (let k = 0; k + 1 < chain.length; k += 1) {
      const [start, end] = [chain[k], chain[k + 1]];
      const joint = joints.get(`${start} ${end}`);
      const one = middle[start] + leaves(joint);
      two = middle[end] + comes(joint);
      const [from, to] = [bands[rank[start]][1], bands[rank[end]][0]];
      if (!text) text = `M${point(one, heart[start] + along[start] / 2)}`;
      const half = (from + to) / 2;
      const edge = point(one, from);
      text += `${text === `M${edge}` ? "" : `L${edge}`}C${point(one, half)} ${point(two, half)} ${point(two, to)}`;
    }
    const stop = point(two, heart[last] - along[last] / 2);
    at(name).setAttribute("d", text.endsWith(stop) ? text : `${text}L${stop}`);
  }
  const width = down ? wide : long + before + after;
  const height = down ? long + before + after : wide + above;
  scene.items.forEach(([name], item) => {
    if (!name) return;
    const [x, y] = down ? [middle[item], heart[item]] : [heart[item], middle[item]];
    const corner = scenes[name] ? [x - sizes[item][0] / 2, y - sizes[item][1] / 2] : [x, y];
    at(name).setAttribute("transform", `translate(${corner[0].toFixed(1)} ${corner[1].toFixed(1)})`);
  });
  if (framed) {
    const [frame, title] = [at(key).querySelector(":scope > .frame"), at(key).querySelector(":scope > .bar > rect")];
    frame.setAttribute("width", width.toFixed(1));
    frame.setAttribute("height", height.toFixed(1));
    title.setAttribute("width", width.toFixed(1));
  }
  const ports = scene.ways.slice(scene.ways.length - scene.outs).map(([, chain]) => middle[chain[chain.length - 1]]);
  return { width, height, ins: middle.slice(0, scene.ins), outs: ports };
}

function spread(scene, across, near) {
  const middle = across.map(() => 0);
  for (const items of scene.ranks) {
    let start = -items.reduce((sum, item) => sum + across[item] + separation, 0) / 2;
    for (const item of items) {
      middle[item] = start + (across[item] + separation) / 2;
      start += across[item] + separation;
    }
  }
  const settle = (items, side) => {
    const offsets = [];
    const blocks = [];
    items.forEach((item, k) => {
      let [total, weight] = [0, 0];
      for (const [other, shift, force] of near[side][item]) {
        total += force * (middle[other] + shift);
        weight += force;
      }
      offsets.push(k ? offsets[k - 1] + (across[items[k - 1]] + across[item]) / 2 + separation : 0);
      blocks.push([(weight ? total / weight : middle[item]) - offsets[k], weight || 0.01, 1]);
    });
    const merged = [];
    for (const block of blocks) {
      merged.push(block);
      while (merged.length > 1 && merged[merged.length - 2][0] > merged[merged.length - 1][0]) {
        const [mean, heavy, count] = merged.pop();
        const last = merged[merged.length - 1];
        last[0] = (last[0] * last[1] + mean * heavy) / (last[1] + heavy);
        last[1] += heavy;
        last[2] += count;
      }
    }
    let k = 0;
    for (const [mean, , count] of merged) {
      for (let n = 0; n < count; n += 1, k += 1) middle[items[k]] = mean + offsets[k];
    }
  };
  for (let sweep = 0; sweep < sweeps; sweep += 1) {
    for (const items of [...scene.ranks].reverse()) settle(items, 1);
    for (const items of scene.ranks) settle(items, 0);
  }
  return middle;
}

function bandsOf(scene, along, middle, rank, leaves, comes) {
  const steepest = scene.ranks.map(() => 0);
  for (const joint of scene.joints) {
    const way = Math.abs(middle[joint[1]] + comes(joint) - middle[joint[0]] - leaves(joint));
    steepest[rank[joint[1]]] = Math.max(steepest[rank[joint[1]]], way);
  }
  let start = 0;
  return scene.ranks.map((items, k) => {
    start += k ? Math.min(Math.max(gap, steep * steepest[k]), widestGap) : 0;
    const thick = Math.max(0, ...items.map((item) => along[item]));
    start += thick;
    return [start - thick, start];
  });
}

// ---------------------------------------------------------------------------- steps

let forward = []; // keys of what is computed at each step, then of what sends back
let backward = [];
let unit = []; // for each position of an equation the key that stands for it
let step = 0;
let touched = false;

function units() {
  forward = [];
  unit = [];
  const visit = (key) => {
    for (const child of scenes[key].children) {
      if (scenes[child] && open.has(child)) {
        visit(child);
        continue;
      }
      forward.push(child);
      const [start, stop] = scenes[child] ? scenes[child].span : [Number(child.slice(1)), Number(child.slice(1)) + 1];
      for (let position = start; position < stop; position += 1) unit[position] = child;
    }
  };
  visit("g0");
  backward = forward.filter((key) => tell[key][1]).reverse();
  unit[graph.count] = "end";
}

const total = () => forward.length + 1 + backward.length;
const box = (key) => (scenes[key] ? at(key).querySelector(":scope > .folded") : at(key));
const numbers = (text) => (text ? text.split(" ").map(Number) : []);

function show() {
  const turn = forward.length + 1;
  const when = new Map(forward.map((key, k) => [key, k + 1]));
  const back = new Map([["end", turn], ...backward.map((key, k) => [key, turn + 1 + k])]);
  const current = step === 0 || !touched ? null : step < turn ? forward[step - 1] : step === turn ? "end" : backward[step - turn - 1];
  const returning = step >= turn;
  const made = (position) => position < 0 || step >= when.get(unit[position]);
  for (const element of root.querySelectorAll("[data-made]:not(.way)")) {
    element.classList.toggle("shown", made(Number(element.dataset.made)));
  }
  for (const element of root.querySelectorAll("[data-readers]")) {
    const steps = numbers(element.dataset.readers).map((position) => back.get(unit[position]) ?? Infinity);
    element.classList.toggle("shown", step >= Math.max(0, ...steps));
  }
  for (const way of root.querySelectorAll(".way")) {
    const here = numbers(returning ? way.dataset.back : way.dataset.uses).some((position) => unit[position] === current);
    way.classList.toggle("later", !made(Number(way.dataset.made)));
    way.classList.toggle("now", here);
    way.classList.toggle("back", here && returning);
  }
  for (const key of [...forward, "end"]) {
    const node = box(key);
    node.classList.toggle("later", step < (key === "end" ? turn - 1 : when.get(key)));
    node.classList.toggle("now", key === current);
    node.classList.toggle("back", key === current && returning);
  }
  const last = step === total();
  const way = step === 0 ? "inputs" : step < turn ? "forward" : "backward";
  at("count").textContent = touched ? `${way}, step ${step} of ${total()}` : `${total()} steps`;
  at("said").textContent = !touched
    ? "Everything is shown. Press the right arrow key, or Step, to go through it from the beginning."
    : step === 0 ? graph.begin : step < turn ? tell[current][0] : step === turn ? graph.turn : tell[current][1];
  // not disabled: a button that is loses the focus
  for (const button of ["first", "before"]) at(button).setAttribute("aria-disabled", step === 0);
  for (const button of ["after", "last"]) at(button).setAttribute("aria-disabled", last && touched);
  return current;
}

function go(wanted) {
  if (!touched && wanted > total()) wanted = 0;
  touched = true;
  step = Math.min(Math.max(wanted, 0), total());
  const current = show();
  if (current) reveal(box(current));
}

function reveal(node) { // the box, and as much as fits of where its edges come from
  const [view, head] = [at("view"), at("controls")];
  const [frame, area] = [node.getBoundingClientRect(), view.getBoundingClientRect()];
  const ways = [...root.querySelectorAll(".way.now")].map((way) => way.getBoundingClientRect());
  const shown = ways.filter((way) => way.width + way.height > 0);
  let left = Math.min(frame.left, ...shown.map((way) => way.left)) - 60;
  let right = Math.max(frame.right, ...shown.map((way) => way.right)) + 60;
  if (right - left > area.width) [left, right] = [Math.max(left, frame.right + 12 - area.width), frame.right + 12];
  if (left < area.left) view.scrollLeft -= area.left - left;
  else if (right > area.right) view.scrollLeft += right - area.right;
  const top = head.getBoundingClientRect().bottom;
  if (frame.top < top + 70) window.scrollBy(0, frame.top - top - 70);
  else if (frame.bottom > innerHeight - 50) window.scrollBy(0, Math.min(frame.bottom - innerHeight + 50, frame.top - top - 70));
}

// ---------------------------------------------------------------------------- folding

function draw() {
  for (const key of Object.keys(scenes)) {
    if (key === "g0") continue;
    at(key).classList.toggle("open", open.has(key));
    for (const button of at(key).querySelectorAll(":scope > .toggle")) button.setAttribute("aria-expanded", open.has(key));
  }
  const { width, height } = place("g0");
  const svg = at("drawing");
  svg.setAttribute("viewBox", `0 0 ${width.toFixed(1)} ${height.toFixed(1)}`);
  svg.dataset.width = width;
  svg.dataset.height = height;
  fit();
  const view = at("view");
  if (down) view.scrollLeft = (view.scrollWidth - view.clientWidth) / 2; // else it shows the edge of what is too wide
}

function fit() { // a drawing that is a little too wide is made smaller, one that is much too wide scrolls
  const svg = at("drawing");
  const scale = Math.min(1, Math.max(SMALLEST, at("view").clientWidth / svg.dataset.width));
  svg.setAttribute("width", (svg.dataset.width * scale).toFixed(1));
  svg.setAttribute("height", (svg.dataset.height * scale).toFixed(1));
}

function refold(change) {
  const turn = forward.length + 1;
  const [atEnd, atTurn, returning] = [step === total(), step === turn, step > turn];
  const current = step === 0 || step === turn ? null : step < turn ? forward[step - 1] : backward[step - turn - 1];
  const position = current === null ? -1 : scenes[current] ? graph.order.find((p) => unit[p] === current) : Number(current.slice(1));
  change();
  draw();
  units();
  const list = returning ? backward : forward;
  const place = list.indexOf(unit[position]);
  if (atEnd) step = total();
  else if (atTurn) step = forward.length + 1;
  else if (current !== null) step = returning ? forward.length + 2 + Math.max(place, 0) : place + 1;
  show();
}

function toggle(key) {
  refold(() => (open.has(key) ? open.delete(key) : open.add(key)));
  const shown = at(key).querySelector(open.has(key) ? ":scope > .bar" : ":scope > .folded");
  shown.focus({ preventScroll: true });
  reveal(shown);
}

for (const button of root.querySelectorAll(".toggle")) {
  const key = button.dataset.group;
  button.setAttribute("tabindex", "0");
  button.setAttribute("role", "button");
  button.setAttribute("aria-label", scenes[key].name);
  button.addEventListener("click", () => toggle(key));
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    toggle(key);
  });
}

const groups = Object.keys(scenes).filter((key) => key !== "g0");
const foldAll = () => refold(() => open.clear());
const unfoldAll = () => refold(() => groups.forEach((key) => open.add(key)));
const keys = {
  ArrowRight: () => go(step + 1),
  ArrowLeft: () => go(step - 1),
  Home: () => go(0),
  End: () => go(total()),
  ...(groups.length ? { f: foldAll, u: unfoldAll } : {}),
};
// A page that is all about the drawing listens everywhere, any other where the focus is on the drawing.
("whole" in root.dataset ? document : root).addEventListener("keydown", (event) => {
  const letter = event.key.length === 1; // of either case: F and f, with or without caps lock
  const action = keys[letter ? event.key.toLowerCase() : event.key];
  if (event.ctrlKey || event.altKey || event.metaKey || (event.shiftKey && !letter) || !action) return;
  if (event.target.closest?.("details")) return; // there they scroll the table
  event.preventDefault();
  action();
});
at("first").addEventListener("click", keys.Home);
at("before").addEventListener("click", keys.ArrowLeft);
at("after").addEventListener("click", keys.ArrowRight);
at("last").addEventListener("click", keys.End);
if (groups.length) {
  at("fold").addEventListener("click", foldAll);
  at("unfold").addEventListener("click", unfoldAll);
}

addEventListener("resize", fit);
root.classList.add("stepping");
draw();
units();
step = total();
show();
}
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
})();

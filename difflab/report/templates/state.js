// What the reader chose stands after the "#" of the address: parts such as sort=one-gradient.desc between "&", and
// perhaps an anchor, which has no "=". Every choice is made by change(), and shown by those who asked with onState().
const state = new Map();
const known = new Map(); // key: what makes a value of it sensible, or empty
const watchers = [];
let running = ""; // the control that is being typed into: its choices make one step of the history

const decoded = (text) => {
  try {
    return decodeURIComponent(text.replace(/\+/g, " "));
  } catch {
    return text; // nonsense is taken as it is
  }
};

function readHash() {
  const found = new Map();
  let anchor = "";
  for (const part of location.hash.slice(1).split("&")) {
    const at = part.indexOf("=");
    if (at < 0) anchor = decoded(part) || anchor;
    else found.set(decoded(part.slice(0, at)), decoded(part.slice(at + 1)));
  }
  return { found, anchor };
}

function writeHash(push, anchor = "") {
  const parts = [...state].map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
  if (anchor) parts.push(encodeURIComponent(anchor));
  const hash = parts.length ? `#${parts.join("&")}` : "";
  if (hash === location.hash && history.state) return;
  try {
    history[push ? "pushState" : "replaceState"]({ difflab: true }, "", location.href.split("#")[0] + hash);
  } catch {
    running = ""; // a page within another has no address of its own, and goes without
  }
}

function register(key, clean = (value) => value) {
  known.set(key, clean);
}

function onState(show) {
  watchers.push(show);
}

function adopt(found) {
  state.clear();
  for (const [key, clean] of known) {
    const value = found.has(key) ? clean(found.get(key)) : "";
    if (value) state.set(key, value);
  }
}

function change(changes, typing = "") {
  const found = new Map(state);
  for (const [key, value] of Object.entries(changes)) found.set(key, value);
  adopt(found);
  for (const show of watchers) show();
  writeHash(!typing || typing !== running);
  running = typing;
}

function followAddress() {
  const { found, anchor } = readHash();
  running = "";
  const given = [...found.keys()];
  if (!history.state && given.every((key) => key === "case")) {
    adopt(new Map([...state, ...found])); // a link of this page: it goes somewhere, and all else stays as it is
    writeHash(false, anchor);
  } else {
    adopt(found);
    writeHash(false, anchor);
  }
  for (const show of watchers) show();
  return { given: given.filter((key) => known.has(key)), anchor };
}

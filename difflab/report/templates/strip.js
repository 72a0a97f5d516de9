// The raw samples of a case as a strip plot: a row of dots per process above a linear axis of time.
const UNITS = [[0, "s"], [-3, "ms"], [-6, "\u00b5s"], [-9, "ns"]];
const ROW = 18;
const namespaceOfSvg = (() => {
  const holder = document.createElement("template");
  holder.innerHTML = "<svg></svg>"; // a page has no address in it, not even the name of a namespace
  return holder.content.firstChild.namespaceURI;
})();
const svg = (tag, attributes, text) => {
  const made = document.createElementNS(namespaceOfSvg, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
};
const middle = (values) => {
  const ordered = values.slice().sort((a, b) => a - b);
  const half = ordered.length >> 1;
  return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
};

// Samples as stored, as whole numbers of a power of ten seconds: see details.py.
function decodedSamples([power, base, above, counts, medians, pooled]) {
  const processes = above.map((own, place) => {
    const values = own.map((value) => value + base);
    const numbers = { values, least: Math.min(...values), most: Math.max(...values) };
    numbers.every = counts ? counts[place] : values.length;
    numbers.median = medians ? medians[place] + base : middle(values);
    return numbers;
  });
  const largest = Math.max(...processes.map((one) => one.median)) * 10 ** power;
  const [exponent, unit] = UNITS.find(([size]) => largest >= 10 ** size) || UNITS[3];
  const scale = 10 ** (power - exponent);
  const decimals = Math.max(0, exponent - power);
  const write = (value, places = decimals) => (value * scale).toFixed(places);
  return { processes, power, unit, scale, write, pooled: Boolean(pooled) };
}

function ticks(low, high, most) {
  const rough = (high - low) / most;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * size).find((one) => one >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(k * step);
  return { found, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

const spoken = (samples, one) =>
  `median ${samples.write(one.median)} ${samples.unit}, from ${samples.write(one.least)} to ` +
  `${samples.write(one.most)} ${samples.unit}, n = ${one.every}`;

function strip(samples, title, width) {
  const { processes, scale, unit } = samples;
  const [left, right, top] = [30, 16, 20];
  const base = top + ROW * processes.length;
  const lows = Math.min(...processes.map((one) => one.least)) * scale;
  const highs = Math.max(...processes.map((one) => one.most)) * scale;
  const room = (highs - lows) * 0.04 || Math.abs(highs) * 0.01 || 1;
  const [low, high] = [lows - room, highs + room];
  const x = (value) => left + ((value - low) / (high - low)) * (width - left - right);
  const name = (place) => (samples.pooled ? "all processes" : `process ${place + 1}`);
  const words = processes.map((one, place) => `${name(place)}: ${spoken(samples, one)}`).join("; ");
  const drawn = svg("svg", {
    class: "strip", viewBox: `0 0 ${width} ${base + 38}`, role: "img", "aria-label": `Samples of ${title}. ${words}.`,
  });
  const axis = ticks(low, high, Math.max(2, width / 75));
  for (const value of axis.found) {
    const at = x(value).toFixed(2);
    drawn.append(svg("line", { class: "k-grid", x1: at, x2: at, y1: top, y2: base }));
    drawn.append(svg("text", { class: "f-ink tick", x: at, y: base + 15 }, value.toFixed(axis.decimals)));
  }
  drawn.append(svg("text", { class: "f-muted", x: 2, y: 11 }, samples.pooled ? "all processes" : "process"));
  const middleOfAxis = (left + width - right) / 2;
  drawn.append(svg("text", { class: "f-muted tick", x: middleOfAxis, y: base + 33 }, `time per call, ${unit}`));
  drawn.append(svg("line", { class: "k-muted", x1: left, x2: width - right, y1: base, y2: base }));
  processes.forEach((one, place) => {
    const y = top + ROW * (place + 0.5);
    if (!samples.pooled) drawn.append(svg("text", { class: "f-muted", x: 2, y: y + 4 }, String(place + 1)));
    const dots = one.values.map((value) => `M${x(value * scale).toFixed(2)} ${y}h0`).join("");
    const at = x(one.median * scale).toFixed(2);
    drawn.append(svg("path", { class: "dots", d: dots }));
    drawn.append(svg("line", { class: "k-ink median", x1: at, x2: at, y1: y - 7, y2: y + 7 }));
  });
  return drawn;
}

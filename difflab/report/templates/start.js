// The theme is set before anything is drawn, so that nothing flashes; all else waits for the page to be read.
const THEMES = ["", "light", "dark"];
const SAYS = { "": "as the system", light: "light", dark: "dark" };
const paint = (theme) => {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
};
const themeOf = (value) => (THEMES.includes(value) ? value : "");
paint(themeOf(readHash().found.get("theme") || ""));

function themeButton() {
  const button = element("button", { type: "button", class: "theme" });
  register("theme", themeOf);
  button.addEventListener("click", () => {
    const now = THEMES.indexOf(state.get("theme") || "");
    change({ theme: THEMES[(now + 1) % THEMES.length] });
  });
  onState(() => {
    const theme = state.get("theme") || "";
    paint(theme);
    button.textContent = `Colours: ${SAYS[theme]}`;
  });
  document.querySelector("header .over").before(button);
}

document.addEventListener("DOMContentLoaded", () => {
  const held = document.getElementById("details"); // not on a page that is only an answer
  const details = held ? JSON.parse(held.textContent) : { columns: [], rest: [], filters: [], samples: [] };
  themeButton();
  let panel = null;
  for (const table of document.querySelectorAll("table.sortable")) {
    const main = !table.dataset.name;
    interactive(table, main ? details.filters : []);
    if (main) panel = selectable(table, details);
  }
  // Where a link with a state leads: to its anchor, or else to what the state is about.
  const goTo = ({ given, anchor }, focus) => {
    if (given.length === 0) return; // an ordinary anchor: the browser went there
    const target = anchor && document.getElementById(anchor);
    const about = given.find((key) => key !== "theme");
    const name = about && about.includes(".") ? about.slice(0, about.indexOf(".")) : "";
    const table = about && document.querySelector(name ? `table[data-name="${CSS.escape(name)}"]` : "#rows table");
    if (target) target.scrollIntoView();
    else if (panel && state.has("case") && given.includes("case")) panel.showPanel(focus);
    else if (table) table.closest("section").scrollIntoView();
  };
  const first = followAddress();
  if (document.readyState === "complete") goTo(first, false);
  else window.addEventListener("load", () => requestAnimationFrame(() => goTo(first, false)));
  window.addEventListener("hashchange", () => {
    const link = !history.state;
    const followed = followAddress();
    if (link) goTo(followed, true); // after the back button the browser itself returns to where the reader was
  });
});

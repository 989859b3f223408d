/* The page: tabs, filter, columns, sorting, which figures are drawn, and links into folded parts. */
const boards = JSON.parse(document.getElementById("data").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const sections = [...document.querySelectorAll("[role=tabpanel]")];

/** The values by lead time of a row as points, from 1. */
const curve = (row, metric) => (row.curves[metric.key] || []).map((v, i) => [i + 1, v]).filter(p => p[1] !== null);

/** Call `draw` when a place appears or changes its width. */
function onWidth(place, draw) {
  let width = 0;
  new ResizeObserver(() => {
    const before = width;
    width = place.clientWidth;
    if (width && width !== before) draw();
  }).observe(place);
}

class Panel {
  constructor(section, board) {
    this.section = section;
    this.board = board;
    this.find = selector => section.querySelector(selector);
    this.rows = [...this.find("tbody").rows];
    this.shown = new Set(board.rows);
    this.hot = null;
    this.chosen = new Map();
    board.rows.filter(row => row.rank && board.metrics.length && row.curves[board.metrics[0].key]).slice(0, 5)
      .forEach(row => this.choose(row));
    this.setUpTable();
    this.setUpPlots();
    this.setUpGallery();
    for (const entry of section.querySelectorAll("details.entry"))
      entry.addEventListener("toggle", () => this.fill(entry));
    this.filter();
  }

  /** Give a curve a colour, or take it away. */
  choose(row) {
    if (this.chosen.delete(row)) return;
    const used = new Set(this.chosen.values());
    const free = [...Array(COLOURS).keys()].map(i => `var(--c${i})`).find(colour => !used.has(colour));
    this.chosen.set(row, free || "var(--ink)");
  }

  /** Highlight a row in the table, the scatter plot and the curves. */
  setHot(row) {
    if (row === this.hot) return;
    this.hot = row;
    this.rows.forEach((tr, i) => tr.classList.toggle("hot", this.board.rows[tr.dataset.i] === row));
    for (const marks of [this.points, this.curves])
      for (const mark of marks || []) mark.node.classList.toggle("hot", Boolean(row) && mark.row === row);
  }

  setUpTable() {
    const search = this.find("input[type=search]");
    search.addEventListener("input", () => this.filter());
    this.find(".empty button").addEventListener("click", () => {
      search.value = "";
      this.section.querySelectorAll(".controls > label input").forEach(box => { box.checked = true; });
      this.filter();
      search.focus();
    });
    this.section.querySelectorAll(".controls > label input[type=checkbox]")
      .forEach(box => box.addEventListener("change", () => this.filter()));
    const chooser = this.find(".chooser");
    chooser.addEventListener("change", event => {
      for (const cell of this.section.querySelectorAll(`[data-column="${event.target.value}"]`)) cell.hidden = !event.target.checked;
    });
    chooser.addEventListener("keydown", event => {
      if (event.key === "Escape") { chooser.open = false; chooser.firstElementChild.focus(); }
    });
    document.addEventListener("pointerdown", event => { if (!chooser.contains(event.target)) chooser.open = false; });
    for (const th of this.find("thead").rows[0].cells) th.querySelector("button")?.addEventListener("click", () => this.sortBy(th));
    for (const tr of this.rows) {
      tr.addEventListener("pointerenter", () => this.setHot(this.board.rows[tr.dataset.i]));
      tr.addEventListener("pointerleave", () => this.setHot(null));
    }
  }

  /** Show the rows of the ticked kinds that hold any of the words. */
  filter() {
    const boxes = [...this.section.querySelectorAll(".controls > label input[type=checkbox]")];
    const kinds = new Set(boxes.filter(box => box.checked).map(box => box.value));
    const text = this.find("input[type=search]").value;
    const words = text.toLowerCase().split(/[\s,+]+/).filter(Boolean);
    this.shown.clear();
    for (const tr of this.rows) {
      tr.hidden = !kinds.has(tr.dataset.kind) || (words.length > 0 && !words.some(word => tr.dataset.text.includes(word)));
      if (!tr.hidden) this.shown.add(this.board.rows[tr.dataset.i]);
    }
    this.find(".controls output").textContent = `${this.shown.size} of ${this.rows.length} entries`;
    this.find(".empty").hidden = this.shown.size > 0;
    this.find(".empty b").textContent = text.trim() ? `“${text.trim()}”` : "the ticked kinds";
    const slugs = new Set([...this.shown].map(row => row.slug));
    const all = new Set(this.board.rows.map(row => row.slug));
    for (const part of this.section.querySelectorAll("[data-slug]")) part.hidden = all.has(part.dataset.slug) && !slugs.has(part.dataset.slug);
    this.draw();
  }

  sortBy(th) {
    const index = th.cellIndex, before = th.getAttribute("aria-sort");
    const first = "higher" in th.dataset ? "descending" : "ascending";
    const direction = before ? (before === "ascending" ? "descending" : "ascending") : first;
    for (const other of th.parentElement.cells) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1, value = tr => tr.cells[index]?.dataset.v;
    this.rows.sort((a, b) => {
      const [u, v] = [value(a), value(b)];
      if (u === undefined || v === undefined) return (u === undefined) - (v === undefined);
      return sign * (index === 1 ? u.localeCompare(v) : u - v);
    });
    this.find("tbody").append(...this.rows);
  }

  setUpPlots() {
    const {axes: all, metrics} = this.board;
    const fillIn = (select, options, value) => {
      select.replaceChildren(...options.map((axis, i) => html("option", axis.title, {value: i})));
      select.value = Math.max(0, options.findIndex(axis => axis.key === value));
      select.addEventListener("change", () => this.draw());
    };
    fillIn(this.find(".scatter .y"), all, "mse");
    fillIn(this.find(".scatter .x"), all, "macs");
    fillIn(this.find(".lead .metric"), metrics, "mse");
    this.find(".lead .add").addEventListener("change", event => {
      this.choose(this.board.rows[event.target.value]);
      this.draw();
    });
    onWidth(this.find(".scatter .plot"), () => this.draw());
    onWidth(this.find(".lead .plot"), () => this.draw());
  }

  draw() {
    if (this.section.hidden) return;
    if (this.find(".scatter").open) this.drawScatter();
    if (this.find(".lead").open) this.drawLeadTimes();
  }

  drawScatter() {
    const place = this.find(".scatter .plot"), all = this.board.axes;
    const [x, y] = [all[this.find(".scatter .x").value], all[this.find(".scatter .y").value]];
    const rows = [...this.shown].filter(row => row.kind !== "baseline").concat(this.board.published);
    const drawing = x && y && place.clientWidth ? scatter(rows, x, y, place.clientWidth) : null;
    this.points = drawing ? drawing.marks : [];
    if (drawing) interactive(place, drawing, row => this.setHot(row), row => row.slug && go(row.slug));
    else place.replaceChildren(html("p", "No entry to draw."));
  }

  drawLeadTimes() {
    const place = this.find(".lead .plot"), metric = this.board.metrics[this.find(".lead .metric").value];
    const rows = metric ? [...this.shown].filter(row => curve(row, metric).length) : [];
    const lines = rows.map(row => ({row, label: row.label, points: curve(row, metric), colour: this.chosen.get(row)}));
    const toggle = row => { this.choose(row); this.draw(); this.find(".lead svg")?.focus({preventScroll: true}); };
    this.curves = [];
    if (lines.length && place.clientWidth) {
      const drawing = lineChart(place.clientWidth, `${metric.title} by lead time, ${lines.length} curves; arrow keys move between them`, "lead time in frames", metric.title, lines);
      this.curves = drawing.marks;
      const last = Math.max(...lines.flatMap(line => line.points.map(p => p[0])));
      const keyed = {...drawing, keys: drawing.marks.filter(mark => mark.lines[1].endsWith(` ${last}`)).sort((a, b) => a.top - b.top)};
      interactive(place, keyed, row => this.setHot(row), toggle);
    } else place.replaceChildren(html("p", "No curve to draw."));
    this.find(".chips").replaceChildren(...[...this.chosen].filter(([row]) => this.shown.has(row)).map(([row, colour]) => {
      const button = html("button", `${row.label} ×`, {type: "button", "aria-label": `remove ${row.label}`});
      button.style.setProperty("--swatch", colour);
      button.addEventListener("click", () => toggle(row));
      return button;
    }));
    const others = rows.filter(row => !this.chosen.has(row));
    this.find(".lead .add").replaceChildren(html("option", "choose …", {value: ""}),
      ...others.map(row => html("option", row.label, {value: this.board.rows.indexOf(row)})));
  }

  /** Play the clips in view, all at the same frame. */
  setUpGallery() {
    const part = this.find(".gallery");
    if (!part) return;
    const [play, slider, text] = [".play", "input[type=range]", "output"].map(selector => part.querySelector(selector));
    const images = [...part.querySelectorAll(".strip")], seen = new Set();
    let playing = !still.matches;
    const paint = image => {
      image.style.objectPosition = `${100 * slider.value / slider.max}% 0`;
      image.dataset.frame = slider.value;
    };
    const show = () => {
      const past = Number(part.querySelector(".clips").dataset.past), frame = Number(slider.value);
      text.textContent = frame < past ? `input ${frame + 1} of ${past}` : `prediction ${frame - past + 1} of ${slider.max - past + 1}`;
      seen.forEach(paint);
    };
    const label = () => { play.textContent = playing ? "Pause" : "Play"; play.setAttribute("aria-pressed", playing); };
    const observer = new IntersectionObserver(changes => {
      for (const {target, isIntersecting} of changes) {
        seen[isIntersecting ? "add" : "delete"](target);
        if (isIntersecting) paint(target);
      }
    });
    images.forEach(image => observer.observe(image));
    setInterval(() => {
      if (!playing || !seen.size || document.hidden) return;
      slider.value = slider.value === slider.max ? 0 : Number(slider.value) + 1;
      show();
    }, 250);
    play.addEventListener("click", () => { playing = !playing; label(); });
    slider.addEventListener("input", () => { playing = false; label(); show(); });
    label();
    show();
  }

  /** Curves and validation history of one entry, drawn when it is opened. */
  fill(entry) {
    const row = this.board.rows.find(row => row.slug === entry.dataset.slug), place = entry.querySelector(".curves");
    if (!entry.open || !row || !place || place.childElementCount) return;
    const plots = [];
    const add = (label, xTitle, yTitle, lines) => {
      const box = html("div", "", {class: "plot"});
      place.append(html("div"));
      place.lastChild.append(html("b", label), box);
      plots.push(() => interactive(box, lineChart(box.clientWidth, label, xTitle, yTitle, lines), () => {}, () => {}));
    };
    const metric = this.board.metrics.find(m => curve(row, m).length);
    const reference = this.board.rows.find(other => other.kind === "baseline" && metric && curve(other, metric).length);
    if (metric) add(`${metric.title} by lead time`, "lead time in frames", metric.title, [
      {row, label: row.label, points: curve(row, metric), colour: "var(--c0)"},
      ...(reference ? [{row: reference, label: reference.label, points: curve(reference, metric), colour: "var(--faint)"}] : []),
    ]);
    const seeds = row.histories.map((line, i) => ({...line, colour: `var(--c${i % COLOURS})`}));
    if (seeds.length) add("Validation MSE by step", "step", "MSE", seeds);
    onWidth(place, () => plots.forEach(plot => plot()));
  }
}

function select(index) {
  const tabs = document.querySelectorAll("[role=tab]");
  sections.forEach((section, i) => {
    section.hidden = i !== index;
    tabs[i].setAttribute("aria-selected", i === index);
    tabs[i].tabIndex = i === index ? 0 : -1;
  });
}

function setUpTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  document.querySelector("[role=tablist]").hidden = tabs.length < 2;
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => select(i));
    tab.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (!step) return;
      const next = (i + step + tabs.length) % tabs.length;
      select(next);
      tabs[next].focus();
    });
  });
}

function go(slug) {
  if (location.hash === `#${slug}`) openTarget();
  else location.hash = slug;
}

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const index = sections.findIndex(section => section.contains(target));
  if (index >= 0) select(index);
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  target.scrollIntoView();
  target.querySelector("summary")?.focus({preventScroll: true});
}

document.querySelectorAll("section.board").forEach((section, i) => new Panel(section, boards[i]));
setUpTabs();
select(0);
addEventListener("hashchange", openTarget);
openTarget();

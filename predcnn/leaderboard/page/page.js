"use strict";
const SVG = "http://www.w3.org/2000/svg";
const AXES = [["macs", "FLOPs (G)", 1e9], ["params", "parameters (M)", 1e6], ["speed", "sequences/s", 1]];
const SIZE = {width: 420, height: 300, left: 52, right: 14, top: 14, bottom: 40};
const COLOURS = 6;

function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function niceTicks(low, high, count, least = 0) {
  const raw = Math.max((high - low) / count, least) || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= raw * 0.999);
  const ticks = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-6; t += step) ticks.push(t);
  return ticks;
}

function logTicks(low, high) {
  const all = factors => {
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const f of factors) if (f * 10 ** e >= low && f * 10 ** e <= high) ticks.push(f * 10 ** e);
    return ticks;
  };
  const coarse = all([1]);
  return coarse.length >= 3 ? coarse : all([1, 2, 5]);
}

const short = value => Math.abs(value) >= 1000 ? value.toLocaleString("en", {maximumFractionDigits: 0})
  : String(Number(value.toPrecision(3)));

/** An empty chart with axes; returns the drawing and the two scales. */
function chart(label, xs, ys, xTitle, {log = false} = {}) {
  const {width, height, left, right, top, bottom} = SIZE;
  const spread = (values, pad) => {
    let low = Math.min(...values), high = Math.max(...values);
    if (low === high) { low -= Math.abs(low) * 0.1 || 1; high += Math.abs(high) * 0.1 || 1; }
    return [low - (high - low) * pad, high + (high - low) * pad];
  };
  const xRange = spread(log ? xs.map(Math.log10) : xs, log ? 0.08 : 0), yRange = spread(ys, 0.06);
  const x = v => left + ((log ? Math.log10(v) : v) - xRange[0]) / (xRange[1] - xRange[0]) * (width - left - right);
  const y = v => height - bottom - (v - yRange[0]) / (yRange[1] - yRange[0]) * (height - top - bottom);
  const svg = element("svg", {viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label});
  for (const t of niceTicks(...yRange, 5)) {
    svg.append(element("line", {class: "grid", x1: left, x2: width - right, y1: y(t), y2: y(t)}));
    svg.append(element("text", {x: left - 6, y: y(t) + 4, "text-anchor": "end"}, short(t)));
  }
  const ticks = log ? logTicks(10 ** xRange[0], 10 ** xRange[1]) : niceTicks(...xRange, 9, 1);
  for (const t of ticks) {
    svg.append(element("line", {class: "grid", x1: x(t), x2: x(t), y1: height - bottom, y2: height - bottom + 4}));
    svg.append(element("text", {x: x(t), y: height - bottom + 17, "text-anchor": "middle"}, short(t)));
  }
  svg.append(element("text", {x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle"}, xTitle));
  return {svg, x, y};
}

/** Points that no other point beats on both axes, from cheap to dear. */
function pareto(points, moreIsBetterX, moreIsBetterY) {
  const better = (a, b, more) => more ? a > b : a < b;
  const sorted = [...points].sort((a, b) => (moreIsBetterX ? b.x - a.x : a.x - b.x) || (moreIsBetterY ? b.y - a.y : a.y - b.y));
  const front = [];
  for (const point of sorted)
    if (!front.length || better(point.y, front[front.length - 1].y, moreIsBetterY)) front.push(point);
  return front;
}

/** Tukey's fences, widened to hold `kept`: what lies beyond would squeeze all the rest. */
function fences(values, kept) {
  const sorted = [...values].sort((a, b) => a - b);
  const quartile = share => sorted[Math.round(share * (sorted.length - 1))];
  const reach = 1.5 * (quartile(0.75) - quartile(0.25));
  return [Math.min(quartile(0.25) - reach, ...kept), Math.max(quartile(0.75) + reach, ...kept)];
}

/** Heights as near to the wanted ones, in rising order, as `gap` and the chart's edges allow. */
function stacked(wanted, gap) {
  const places = [];
  let next = SIZE.top + gap;
  for (const place of wanted) { places.push(Math.max(place, next)); next = places[places.length - 1] + gap; }
  let limit = SIZE.height - SIZE.bottom - 2;
  for (let i = places.length - 1; i >= 0; i--) { places[i] = Math.min(places[i], limit); limit = places[i] - gap; }
  return places;
}

/** Names beside the points of the front, with a line to those that had to give way. */
function label(svg, front, x, y) {
  const sorted = [...front].sort((a, b) => y(a.y) - y(b.y));
  stacked(sorted.map(p => y(p.y) - 8), 12).forEach((line, i) => {
    const p = sorted[i], end = x(p.x) > SIZE.width * 0.7, side = end ? -1 : 1;
    const near = Math.abs(line + 8 - y(p.y)) < 4, away = side * (near ? 7 : 26);
    if (!near) svg.append(element("line", {class: "leader", x1: x(p.x), y1: y(p.y), x2: x(p.x) + away - 2 * side, y2: line - 4}));
    const place = {class: "name", x: x(p.x) + away, y: line, "text-anchor": end ? "end" : "start"};
    svg.append(element("text", place, p.row.name.replace(/^simvp_/, "")));
  });
}

function scatter(board, metric, [key, title, unit], rows) {
  const points = rows.filter(row => row.values.params > 0 && row.values[key] > 0 && metric.key in row.values)
    .map(row => ({row, x: row.values[key] / unit, y: row.values[metric.key]}));
  if (!points.length) return null;
  const front = pareto(points.filter(p => p.row.kind !== "published"), key === "speed", metric.higher);
  const [low, high] = fences(points.map(p => p.y), front.map(p => p.y));
  const seen = value => Math.min(Math.max(value, low), high), beyond = points.filter(p => p.y !== seen(p.y));
  const {svg, x, y} = chart(`${metric.title} against ${title}`, points.map(p => p.x), points.map(p => seen(p.y)), title, {log: true});
  if (front.length > 1) svg.append(element("polyline", {class: "front", points: front.map(p => `${x(p.x)},${y(p.y)}`).join(" ")}));
  for (const p of points) {
    const tip = element("title", {}, `${p.row.name}: ${metric.title} ${short(p.y)}, ${title} ${short(p.x)}`);
    const height = y(seen(p.y)), look = p.row.kind + (beyond.includes(p) ? " beyond" : "");
    const shape = p.row.kind === "model"
      ? element("rect", {class: look, x: x(p.x) - 4.5, y: height - 4.5, width: 9, height: 9}, tip)
      : element("circle", {class: look, cx: x(p.x), cy: height, r: 5}, tip);
    if (p.row.entry) svg.append(element("a", {href: `#${p.row.entry}`, "aria-label": tip.textContent}, shape));
    else svg.append(shape);
  }
  label(svg, front, x, y);
  const figure = document.createElement("figure");
  const words = document.createElement("figcaption");
  words.textContent = `${metric.title} ${metric.higher ? "↑" : "↓"} against ${title}; dashed: Pareto front of our entries`
    + (beyond.length ? `; pale at the edge: ${beyond.map(p => p.row.name).join(", ")}` : "");
  figure.append(svg, words);
  return figure;
}

function leadTimes(metric, rows, chosen) {
  const drawn = rows.filter(row => row.curves[metric.key]);
  if (!drawn.length) return null;
  const values = drawn.flatMap(row => row.curves[metric.key]).filter(v => v !== null);
  const longest = Math.max(...drawn.map(row => row.curves[metric.key].length));
  const {svg, x, y} = chart(`${metric.title} by lead time`, [1, longest], values, "lead time in frames");
  const order = [...drawn].sort((a, b) => chosen.has(a.name) - chosen.has(b.name));
  for (const row of order) {
    const points = row.curves[metric.key].map((v, i) => v === null ? null : `${x(i + 1)},${y(v)}`).filter(Boolean);
    const line = element("polyline", {points: points.join(" "), class: "curve"}, element("title", {}, row.name));
    if (row.kind === "reference") line.classList.add("zero");
    if (chosen.has(row.name)) { line.classList.add("on"); line.style.stroke = chosen.get(row.name); }
    svg.append(line);
  }
  const figure = document.createElement("figure");
  const words = document.createElement("figcaption");
  words.textContent = `${metric.title} ${metric.higher ? "↑" : "↓"} by lead time; dashed: lines without a model`;
  figure.append(svg, words);
  return figure;
}

function setUp(section, board) {
  const table = section.querySelector("table"), bodies = [...table.tBodies];
  const search = section.querySelector("input[type=search]"), count = section.querySelector("output");
  const boxes = [...section.querySelectorAll("input[type=checkbox]")];
  const byName = new Map(board.rows.map(row => [`${row.kind} ${row.name}`, row]));
  const chosen = new Map();
  const plotted = board.metrics.filter(m => ["mse", "ssim"].includes(m.key));
  const choose = name => {
    if (chosen.delete(name)) return;
    const used = new Set(chosen.values());
    const free = [...Array(COLOURS).keys()].map(i => `var(--c${i})`).find(c => !used.has(c));
    chosen.set(name, free || "var(--ink)");
  };
  board.rows.filter(row => board.metrics.length && row.curves[board.metrics[0].key] && row.kind !== "reference").slice(0, 5).forEach(row => choose(row.name));

  function visible() {
    const kinds = new Set(boxes.filter(box => box.checked).map(box => box.value));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return tr => kinds.has(tr.dataset.kind) && words.every(word => tr.dataset.text.includes(word));
  }

  function draw() {
    const shown = visible();
    let total = 0, seen = 0;
    const rows = [];
    for (const body of bodies) {
      let any = false;
      for (const tr of body.rows) {
        if (!tr.dataset.kind) continue;
        tr.hidden = !shown(tr);
        total += 1;
        if (!tr.hidden) { any = true; seen += 1; rows.push(byName.get(`${tr.dataset.kind} ${tr.dataset.name}`)); }
      }
      body.hidden = !any;
    }
    count.textContent = `${seen} of ${total} rows`;
    const present = rows.filter(Boolean);
    section.querySelector(".scatter").replaceChildren(
      ...plotted.flatMap(m => AXES.map(axis => scatter(board, m, axis, present))).filter(Boolean));
    section.querySelector(".lead").replaceChildren(...plotted.map(m => leadTimes(m, present, chosen)).filter(Boolean));
    const legend = section.querySelector(".lead-legend");
    const focused = document.activeElement && legend.contains(document.activeElement) ? document.activeElement.textContent : null;
    legend.replaceChildren(...present.filter(row => Object.keys(row.curves).length).map(row => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = row.name;
      button.setAttribute("aria-pressed", chosen.has(row.name));
      button.style.setProperty("--swatch", chosen.get(row.name) || "var(--line)");
      button.addEventListener("click", () => { choose(row.name); draw(); });
      return button;
    }));
    if (focused) [...legend.children].find(b => b.textContent === focused)?.focus();
    for (const item of section.querySelectorAll(".gallery [data-name]")) {
      const row = [...table.querySelectorAll("tr[data-name]")].find(tr => tr.dataset.name === item.dataset.name && tr.dataset.kind !== "published");
      item.hidden = Boolean(row) && row.hidden;
    }
  }

  function sortBy(th) {
    const index = th.cellIndex, numeric = index > 0;
    const before = th.getAttribute("aria-sort");
    const first = th.dataset.first || "ascending";
    const direction = before ? (before === "ascending" ? "descending" : "ascending") : first;
    for (const other of th.parentElement.cells) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const value = tr => tr.cells[index]?.dataset.v;
    for (const body of bodies) {
      const rows = [...body.rows].filter(tr => tr.dataset.kind);
      rows.sort((a, b) => {
        const [u, v] = [value(a), value(b)];
        if (u === undefined || v === undefined) return (u === undefined) - (v === undefined);
        return sign * (numeric ? u - v : u.localeCompare(v));
      });
      body.append(...rows);
    }
  }

  search.addEventListener("input", draw);
  boxes.forEach(box => box.addEventListener("change", draw));
  for (const th of table.tHead.rows[0].cells) th.querySelector("button")?.addEventListener("click", () => sortBy(th));
  draw();
}

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  target.scrollIntoView();
}

const boards = JSON.parse(document.getElementById("data").textContent);
document.querySelectorAll("section.board").forEach((section, i) => setUp(section, boards[i]));
addEventListener("hashchange", openTarget);
openTarget();

"use strict";
/* The chart engine: every figure of the page is made here, as inline SVG. */
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

/** The points that no other point beats on both axes, from cheap to expensive. */
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

/** Heights close to the wanted ones, in rising order, `gap` apart and inside the chart. */
function stacked(wanted, gap) {
  const places = [];
  let next = SIZE.top + gap;
  for (const place of wanted) { places.push(Math.max(place, next)); next = places[places.length - 1] + gap; }
  let limit = SIZE.height - SIZE.bottom - 2;
  for (let i = places.length - 1; i >= 0; i--) { places[i] = Math.min(places[i], limit); limit = places[i] - gap; }
  return places;
}

/** Names next to the points of the front, with a line to those that were moved. */
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

/** Quality against cost, one point per row, with the Pareto front. */
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
  return figure(svg, `${metric.title} ${metric.higher ? "↑" : "↓"} against ${title}; dashed: Pareto front of our entries`
    + (beyond.length ? `; pale at the edge: ${beyond.map(p => p.row.name).join(", ")}` : ""));
}

/** Lines of {name, points: [[x, y]], colour, dashed}; a line without colour stays in the background. */
function lineChart(label, xTitle, caption, lines) {
  const points = lines.flatMap(line => line.points);
  const {svg, x, y} = chart(label, points.map(p => p[0]), points.map(p => p[1]), xTitle);
  for (const line of lines) {
    const path = line.points.map(p => `${x(p[0])},${y(p[1])}`).join(" ");
    const drawn = element("polyline", {points: path, class: "curve"}, element("title", {}, line.name));
    drawn.classList.toggle("reference", Boolean(line.dashed));
    if (line.colour) { drawn.classList.add("on"); drawn.style.stroke = line.colour; }
    svg.append(drawn);
  }
  return figure(svg, caption);
}

function figure(svg, caption) {
  const made = document.createElement("figure"), text = document.createElement("figcaption");
  text.textContent = caption;
  made.append(svg, text);
  return made;
}

"use strict";
/* The chart engine: axes, a scatter plot and a line chart as SVG, drawn in the pixels they occupy. */
const SVG = "http://www.w3.org/2000/svg";
const EDGE = {left: 58, right: 16, top: 26, bottom: 44};
const COLOURS = 6;
let frames = 0;

function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function html(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
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
  : String(Number(value.toPrecision(4)));

/** [low, high] of values, a little wider. */
function spread(values, pad) {
  let low = Math.min(...values), high = Math.max(...values);
  if (low === high) { low -= Math.abs(low) * 0.1 || 1; high += Math.abs(high) * 0.1 || 1; }
  return [low - (high - low) * pad, high + (high - low) * pad];
}

/** An empty chart with axes: the drawing, its size, and the scales x and y from values to pixels. */
function axes(width, label, xs, ys, xTitle, {log = false, right = EDGE.right, whole = false} = {}) {
  const height = Math.round(Math.min(520, Math.max(300, width * 0.55)));
  const {left, top, bottom} = EDGE;
  const xRange = spread(log ? xs.map(Math.log10) : xs, log ? 0.06 : 0), yRange = spread(ys, 0.06);
  const x = v => left + ((log ? Math.log10(v) : v) - xRange[0]) / (xRange[1] - xRange[0]) * (width - left - right);
  const y = v => height - bottom - (v - yRange[0]) / (yRange[1] - yRange[0]) * (height - top - bottom);
  const svg = element("svg", {viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "application", "aria-label": label});
  for (const t of niceTicks(...yRange, 6)) {
    svg.append(element("line", {class: "grid", x1: left, x2: width - right, y1: y(t), y2: y(t)}));
    svg.append(element("text", {x: left - 6, y: y(t) + 4, "text-anchor": "end"}, short(t)));
  }
  const ticks = log ? logTicks(10 ** xRange[0], 10 ** xRange[1]) : niceTicks(...xRange, width / 80, whole ? 1 : 0);
  let last = -Infinity;
  for (const t of ticks.filter(t => x(t) <= width - right + 1)) {
    svg.append(element("line", {class: "tick", x1: x(t), x2: x(t), y1: height - bottom, y2: height - bottom + 5}));
    if (x(t) - last < 38) continue;
    last = x(t);
    svg.append(element("text", {x: x(t), y: height - bottom + 19, "text-anchor": "middle"}, short(t)));
  }
  svg.append(element("text", {x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle"}, xTitle));
  return {svg, x, y, width, height};
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

/** Tukey's fences, widened to hold `kept`: values beyond would squeeze all others. */
function fences(values, kept) {
  const sorted = [...values].sort((a, b) => a - b);
  const quartile = share => sorted[Math.round(share * (sorted.length - 1))];
  const reach = 1.5 * (quartile(0.75) - quartile(0.25));
  return [Math.min(quartile(0.25) - reach, ...kept), Math.max(quartile(0.75) + reach, ...kept)];
}

/** Heights close to the wanted ones, in rising order, `gap` apart and inside the chart. */
function stacked(wanted, gap, height) {
  const places = [];
  let next = EDGE.top;
  for (const place of wanted) { places.push(Math.max(place, next)); next = places[places.length - 1] + gap; }
  let limit = height - EDGE.bottom - 4;
  for (let i = places.length - 1; i >= 0; i--) { places[i] = Math.min(places[i], limit); limit = places[i] - gap; }
  return places;
}

const brief = label => label.replace(/^SimVP \+ /, "");

/** Names of the points of a front, with a line to those that had to move. */
function nameFront({svg, x, y, width, height}, front) {
  const sorted = [...front].sort((a, b) => y(a.y) - y(b.y));
  stacked(sorted.map(p => y(p.y) - 9), 16, height).forEach((line, i) => {
    const p = sorted[i], end = x(p.x) > width * 0.6, side = end ? -1 : 1;
    const near = Math.abs(line + 9 - y(p.y)) < 5, away = side * (near ? 9 : 28);
    if (!near) svg.append(element("line", {class: "leader", x1: x(p.x), y1: y(p.y), x2: x(p.x) + away - 2 * side, y2: line - 4}));
    const place = {class: "name", x: x(p.x) + away, y: line, "text-anchor": end ? "end" : "start"};
    svg.append(element("text", place, brief(p.row.label)));
  });
}

/**
 * A scatter plot of one axis against another with its Pareto front; null without points.
 * Returns the drawing and its marks: {row, left, top, title, lines, node}.
 */
function scatter(rows, xAxis, yAxis, width) {
  const points = rows.filter(row => [xAxis, yAxis].every(axis => Number.isFinite(row.values[axis.key])))
    .map(row => ({row, x: row.values[xAxis.key] / xAxis.unit, y: row.values[yAxis.key] / yAxis.unit}));
  if (!points.length) return null;
  const xs = points.map(p => p.x);
  const log = Math.min(...xs) > 0 && Math.max(...xs) / Math.min(...xs) > 4;
  const ranked = xAxis.higher !== null && yAxis.higher !== null;
  const front = ranked ? pareto(points.filter(p => p.row.eligible), xAxis.higher, yAxis.higher) : [];
  const [low, high] = fences(points.map(p => p.y), front.map(p => p.y));
  const seen = p => Math.min(Math.max(p.y, low), high);
  const arrow = axis => axis.title + (axis.higher === null ? "" : axis.higher ? " ↑" : " ↓");
  const label = `${yAxis.title} against ${xAxis.title}, ${points.length} points; arrow keys move between them`;
  const plot = axes(width, label, xs, points.map(seen), arrow(xAxis), {log});
  const {svg, x, y} = plot;
  svg.append(element("text", {x: 4, y: 11}, arrow(yAxis)));
  if (front.length > 1) svg.append(element("polyline", {class: "front", points: front.map(p => `${x(p.x)},${y(p.y)}`).join(" ")}));
  const marks = points.map(p => {
    const left = x(p.x), top = y(seen(p)), beyond = p.y !== seen(p);
    const look = `point ${p.row.kind}` + (beyond ? " beyond" : "");
    const node = p.row.kind === "model"
      ? element("rect", {class: look, x: left - 5.5, y: top - 5.5, width: 11, height: 11})
      : element("circle", {class: look, cx: left, cy: top, r: 6});
    svg.append(node);
    const lines = [`${yAxis.title} ${short(p.y)}${beyond ? " (outside the plot)" : ""}`, `${xAxis.title} ${short(p.x)}`];
    return {row: p.row, left, top, title: p.row.label, lines, node};
  });
  nameFront(plot, front);
  return {svg, marks: marks.sort((a, b) => a.left - b.left)};
}

/**
 * Lines of {row, label, points: [[x, y]], colour}; a line without colour stays in the background.
 * Coloured lines are named at their right end; they and those of eligible entries set the range. Returns the drawing and one mark per point.
 */
function lineChart(width, label, xTitle, yTitle, lines) {
  const main = lines.filter(line => line.colour || line.row?.eligible), points = (main.length ? main : lines).flatMap(line => line.points);
  const named = lines.filter(line => line.colour && line.label);
  const right = named.length ? Math.min(width * 0.36, 18 + 7.6 * Math.max(...named.map(line => brief(line.label).length))) : EDGE.right;
  const plot = axes(width, label, points.map(p => p[0]), points.map(p => p[1]), xTitle, {right, whole: true});
  const {svg, x, y, height} = plot, marks = [];
  const frame = element("clipPath", {id: `frame${++frames}`}, element("rect", {x: 0, y: EDGE.top - 4, width, height: height - EDGE.bottom - EDGE.top + 4}));
  svg.append(element("text", {x: 4, y: 11}, yTitle), frame);
  for (const line of [...lines].sort((a, b) => Boolean(a.colour) - Boolean(b.colour))) {
    const node = element("polyline", {class: "curve", "clip-path": `url(#${frame.id})`, points: line.points.map(p => `${x(p[0])},${y(p[1])}`).join(" ")});
    if (line.row && line.row.kind === "baseline") node.classList.add("baseline");
    if (line.colour) { node.classList.add("on"); node.style.stroke = line.colour; }
    svg.append(node);
    for (const [at, value] of line.points)
      if (y(value) > EDGE.top - 4) marks.push({row: line.row, left: x(at), top: y(value), title: line.label, lines: [`${yTitle} ${short(value)}`, `${xTitle} ${at}`], node});
  }
  const ends = named.map(line => ({line, top: y(line.points[line.points.length - 1][1])})).sort((a, b) => a.top - b.top);
  stacked(ends.map(end => end.top + 4), 15, height).forEach((top, i) => {
    const text = element("text", {class: "name", x: width - right + 8, y: top}, brief(ends[i].line.label));
    text.style.fill = ends[i].line.colour;
    svg.append(text);
  });
  return {svg, marks};
}

/**
 * Put a drawing into a place, with a card about the mark nearest to the pointer or chosen by keys.
 * The arrow keys move through `drawing.keys`. `onHot(row)` is called with the row of the card or
 * null, `onPress(row)` on a click or Enter.
 */
function interactive(place, drawing, onHot, onPress) {
  const card = html("div", "", {class: "card", role: "status"});
  card.hidden = true;
  place.replaceChildren(drawing.svg, card);
  const {svg, marks, keys = marks} = drawing;
  let current = null;
  function show(mark) {
    current = mark;
    onHot(mark ? mark.row : null);
    card.hidden = !mark;
    if (!mark) return;
    card.replaceChildren(html("b", mark.title), ...mark.lines.map(line => html("div", line)));
    if (mark.row && (mark.row.rank || mark.row.tags?.length))
      card.append(html("div", [mark.row.rank && `rank ${mark.row.rank}`, ...(mark.row.tags || [])].filter(Boolean).join(", ")));
    const scale = svg.clientWidth / svg.viewBox.baseVal.width, left = mark.left * scale, top = mark.top * scale;
    card.style.left = `${Math.max(0, Math.min(left + 14, place.clientWidth - card.offsetWidth))}px`;
    card.style.top = `${top + 16 + card.offsetHeight > svg.clientHeight ? top - card.offsetHeight - 14 : top + 16}px`;
  }
  function nearest(event) {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const left = (event.clientX - box.left) * scale, top = (event.clientY - box.top) * scale;
    let best = null, least = 70;
    for (const mark of marks) {
      const far = Math.hypot(mark.left - left, mark.top - top);
      if (far < least) { least = far; best = mark; }
    }
    return best;
  }
  svg.addEventListener("pointermove", event => show(nearest(event)));
  svg.addEventListener("pointerdown", event => show(nearest(event)));
  svg.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") show(null); });
  svg.addEventListener("click", event => { const mark = nearest(event); if (mark && event.detail && event.pointerType !== "touch") onPress(mark.row); });
  svg.addEventListener("blur", () => show(null));
  svg.addEventListener("keydown", event => {
    const steps = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1};
    const at = keys.indexOf(current);
    if (event.key in steps) show(keys[at < 0 ? 0 : (at + steps[event.key] + keys.length) % keys.length]);
    else if (event.key === "Home") show(keys[0]);
    else if (event.key === "End") show(keys[keys.length - 1]);
    else if (event.key === "Escape") show(null);
    else if (event.key === "Enter" && current) onPress(current.row);
    else return;
    event.preventDefault();
  });
}

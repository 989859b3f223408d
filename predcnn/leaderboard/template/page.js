/* The page: filter, sorting, which figures are drawn, and links into folded parts. */

/** The values by lead time of a row as points, from 1. */
const curve = (row, metric) => row.curves[metric.key].map((v, i) => [i + 1, v]).filter(p => p[1] !== null);

function leadTimes(metric, rows, chosen) {
  const drawn = rows.filter(row => row.curves[metric.key]).sort((a, b) => chosen.has(a.name) - chosen.has(b.name));
  if (!drawn.length) return null;
  const lines = drawn.map(row => ({name: row.name, points: curve(row, metric), colour: chosen.get(row.name), dashed: row.kind === "reference"}));
  const caption = `${metric.title} ${metric.higher ? "↑" : "↓"} by lead time; dashed: baselines without a model`;
  return lineChart(`${metric.title} by lead time`, "lead time in frames", caption, lines);
}

/** Curves and validation history of one entry, and its clip; drawn when it is opened. */
function fill(entry, section, board) {
  const row = board.rows.find(row => row.entry === entry.id), place = entry.querySelector(".curves");
  if (!row || !place || place.childElementCount) return;
  const reference = board.rows.find(other => other.kind === "reference");
  for (const metric of board.metrics.filter(m => row.curves[m.key])) {
    const lines = [{name: row.name, points: curve(row, metric), colour: "var(--c0)"}];
    if (reference && reference.curves[metric.key]) lines.push({name: reference.name, points: curve(reference, metric), dashed: true});
    place.append(lineChart(`${metric.title} by lead time`, "lead time in frames",
      `${metric.title} by lead time` + (lines.length > 1 ? `; dashed: ${reference.name}` : ""), lines));
  }
  const seeds = row.histories.map((line, i) => ({...line, colour: `var(--c${i % COLOURS})`}));
  if (seeds.length) place.append(lineChart("validation MSE by step", "step", `validation MSE by step: ${seeds.map(s => s.name).join(", ")}`, seeds));
  const clip = [...section.querySelectorAll(".gallery figure")].find(item => item.dataset.name === row.name);
  if (clip) entry.querySelector(".clip").append(clip.querySelector("img").cloneNode());
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

  for (const entry of section.querySelectorAll("details.entry"))
    entry.addEventListener("toggle", () => fill(entry, section, board));
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

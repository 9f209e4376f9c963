"use strict";
/* The part of the report that a reader explores. All data stand in the page; nothing is fetched.
   One state (the choices), one list of marks computed from it, one drawing of the marks. */
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const chart = document.getElementById("chart"), detail = document.getElementById("detail");
  const controls = document.getElementById("controls"), shown = document.getElementById("shown");
  const LOOKS = { ste: ["#0072B2", "circle"], rotation: ["#D55E00", "square"], rotation_trick: ["#009E73", "triangle"],
    kmeans: ["#000000", "cross"] };
  const SPARE = [["#0072B2", "circle"], ["#D55E00", "square"], ["#009E73", "triangle"], ["#CC79A7", "diamond"],
    ["#E69F00", "square"], ["#56B4E9", "circle"], ["#7f7f7f", "triangle"]];
  const HEAT = ["heat map of differences", "heat map of means"];
  const BOX = { left: 70, right: 745, top: 20, bottom: 310 };
  const T975 = [0, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
    2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042];
  let marks = [], chosen = -1;

  function value(name, i) {
    const column = data.columns[name];
    return column.numbers ? column.numbers[i] : column.values[column.index[i]];
  }

  function text(x) {
    return x === null || x === "" ? "none" : typeof x === "number" ? String(Number(x.toPrecision(5))) : x;
  }

  function distinct(name, rows) {
    const found = [...new Set(rows.map((i) => value(name, i)))].filter((x) => x !== null && x !== "");
    return typeof found[0] === "number" ? found.sort((a, b) => a - b) : found;
  }

  function varying(rows) {
    return data.settings.filter((s) => data.columns[s] && distinct(s, rows).length > 1);
  }

  function look(series, all) { // known ones as in the figures, the others take colours that are left
    const used = all.filter((s) => LOOKS[s]).map((s) => LOOKS[s][0]), left = SPARE.filter((l) => !used.includes(l[0]));
    return LOOKS[series] || left[all.filter((s) => !LOOKS[s]).indexOf(series) % left.length];
  }

  /* ---- choices ---- */

  const state = { study: Object.keys(data.studies)[0], show: "values", metric: "", of: "", x: "", by: "", first: "",
    second: "" };

  function options() {
    const rows = data.studies[state.study], settings = varying(rows), usual = data.usual[state.study];
    const others = settings.filter((s) => s !== state.of && !(s === "regime" && data.regime.includes(state.of)));
    const values = state.of ? distinct(state.of, rows) : [];
    return {
      study: Object.keys(data.studies), show: ["values", "paired differences", ...HEAT], metric: data.metrics,
      of: settings.length ? settings : [usual.of], x: others.length ? others : [state.of],
      by: ["nothing", ...others.filter((s) => s !== state.x)], first: values, second: values,
    };
  }

  function settle() { // keep every choice that is still possible
    for (const name of ["study", "show", "metric", "of", "x", "by", "first", "second"]) {
      const possible = options()[name], usual = data.usual[state.study][name];
      if (!possible.includes(state[name])) {
        const numeric = name === "x" && possible.find((s) => data.columns[s].numbers);
        state[name] = possible.includes(usual) ? usual : numeric || possible[name === "second" ? possible.length - 1 : 0];
      }
    }
  }

  const TITLES = { study: "Study", show: "Show", metric: "Metric", of: "Compare", x: "Axis", by: "Second axis",
    second: "Value", first: "Less" };

  function buildControls() {
    for (const name of Object.keys(TITLES)) {
      const box = document.createElement("label"), select = document.createElement("select");
      box.append(TITLES[name], select);
      select.id = "choose-" + name;
      select.addEventListener("change", () => { state[name] = options()[name][select.selectedIndex]; update(); });
      controls.append(box);
    }
  }

  function fillControls() {
    const possible = options();
    for (const name of Object.keys(TITLES)) {
      const select = document.getElementById("choose-" + name);
      select.replaceChildren(...possible[name].map((p) => new Option(text(p), p, false, p === state[name])));
      select.parentElement.hidden = name === "second" && state.show === "values" ||
        name === "first" && !differences();
    }
  }

  /* ---- from choices to marks: {group, x, y, series, trials, text} ---- */

  function matchesRegime(i, by, level) { // k-means knows no regime and belongs to all
    return by === "nothing" || value(by, i) === level || value(by, i) === "" || value(by, i) === null;
  }

  function differences() {
    return state.show === "paired differences" || state.show === HEAT[0];
  }

  function completed() {
    return data.studies[state.study].filter((i) => value("status", i) === "completed" && value(state.metric, i) !== null);
  }

  function pairsOf(rows) { // trials of both values equal in the seed and all other settings that both of them know
    const sides = [state.first, state.second].map((v) => rows.filter((i) => value(state.of, i) === v));
    const known = (s) => sides.every((side) => distinct(s, side).length);
    const others = varying(data.studies[state.study]).filter((s) => s !== state.of && s !== "regime" && known(s));
    const key = (i) => others.concat(data.columns.seed ? ["seed"] : []).map((s) => value(s, i)).join("|");
    const first = new Map();
    sides[0].forEach((i) => first.set(key(i), [...(first.get(key(i)) || []), i]));
    return sides[1].flatMap((i) => (first.get(key(i)) || []).map((j) => [j, i]));
  }

  function describe(i) {
    const say = (names) => names.filter((n) => text(value(n, i)) !== "none").map((n) => n + " " + text(value(n, i))).join(", ");
    const settings = data.settings.filter((s) => s !== "regime").concat(data.columns.seed ? ["seed"] : []);
    return `trial ${data.trials[i]} (${value("status", i)}): ${say(settings)}; ${say([state.metric])}; ${say(data.circumstances)}`;
  }

  function computeMarks() {
    const rows = completed(), levels = state.by === "nothing" ? ["all"] : distinct(state.by, rows);
    const found = [];
    for (const level of levels) {
      const here = rows.filter((i) => matchesRegime(i, state.by, level));
      if (!differences()) {
        const wanted = (v) => state.show === "values" ? v !== null && v !== "" : v === state.second;
        here.filter((i) => wanted(value(state.of, i))).forEach((i) => {
          const x = value(state.x, i);
          for (const at of x === null || x === "" ? distinct(state.x, rows) : [x]) {
            found.push({ group: level, x: at, y: value(state.metric, i), series: text(value(state.of, i)), trials: [i] });
          }
        });
      } else {
        pairsOf(here).forEach(([a, b]) => found.push({ group: level, x: value(state.x, b),
          y: value(state.metric, b) - value(state.metric, a), series: text(state.second) + " − " + text(state.first),
          trials: [a, b] }));
      }
    }
    return found;
  }

  /* A mean and its interval by seed: trials of one seed are not independent. */
  function summarise(list) {
    const bySeed = new Map();
    list.forEach((m) => {
      const seed = data.columns.seed ? value("seed", m.trials[0]) : m.trials[0];
      bySeed.set(seed, [...(bySeed.get(seed) || []), m.y]);
    });
    const means = [...bySeed.values()].map((v) => v.reduce((a, b) => a + b) / v.length), n = means.length;
    const mean = means.reduce((a, b) => a + b, 0) / n;
    const sd = Math.sqrt(means.reduce((a, b) => a + (b - mean) ** 2, 0) / (n - 1));
    const reach = n > 1 ? (T975[n - 1] || 1.96) * sd / Math.sqrt(n) : NaN;
    return { n, mean, low: mean - reach, high: mean + reach };
  }

  function cellsOf() {
    const cells = new Map();
    for (const m of marks) {
      const key = JSON.stringify([m.group, m.x, m.series]);
      if (!cells.has(key)) cells.set(key, { group: m.group, x: m.x, series: m.series, marks: [] });
      cells.get(key).marks.push(m);
    }
    return [...cells.values()].map((c) => Object.assign(c, summarise(c.marks)));
  }

  function groupName(group) {
    return state.by === "nothing" ? "all" : state.by === "regime" ? group : state.by + " " + text(group);
  }

  /* ---- drawing ---- */

  function add(name, attributes, content) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
    if (content !== undefined) node.textContent = content;
    chart.append(node);
    return node;
  }

  function centred(x, y, content) {
    return add("text", { x, y, "text-anchor": "middle" }, content);
  }

  function symbol(kind, x, y, r, colour, extra) {
    const paths = {
      square: `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
      triangle: `M${x} ${y - r}L${x + r} ${y + r}H${x - r}z`,
      diamond: `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}z`,
      cross: `M${x - r} ${y - r}l${2 * r} ${2 * r}M${x + r} ${y - r}l${-2 * r} ${2 * r}`,
    };
    const paint = kind === "cross" ? { stroke: colour, fill: "none" } : { fill: colour };
    return kind === "circle" ? add("circle", { cx: x, cy: y, r, ...paint, ...extra })
      : add("path", { d: paths[kind], ...paint, ...extra });
  }

  function ticks(low, high) {
    const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= raw), list = [];
    for (let t = Math.ceil(low / step) * step; t <= high + step / 1e6; t += step) {
      list.push(Math.abs(t) < step / 1e6 ? 0 : t);
    }
    return list;
  }

  function label(name) {
    const known = data.labels[name];
    return known && known.units !== "1" ? name + " [" + known.units + "]" : name;
  }

  function drawPanels(cells) {
    const groups = [...new Set(marks.map((m) => m.group))], xs = [...new Set(marks.map((m) => m.x))];
    if (typeof xs[0] === "number") xs.sort((a, b) => a - b);
    const series = [...new Set(marks.map((m) => m.series))];
    let low = Math.min(...marks.map((m) => m.y)), high = Math.max(...marks.map((m) => m.y));
    if (differences()) { low = Math.min(low, 0); high = Math.max(high, 0); }
    if (low === high) { low -= 0.5; high += 0.5; }
    const pad = 0.05 * (high - low), width = (BOX.right - BOX.left) / groups.length;
    low -= pad; high += pad;
    const atY = (y) => BOX.bottom - (y - low) / (high - low) * (BOX.bottom - BOX.top);
    ticks(low, high).forEach((t) => {
      const kind = t === 0 && differences() ? "axis" : "grid";
      add("line", { x1: BOX.left, x2: BOX.right, y1: atY(t), y2: atY(t), class: kind });
      add("text", { x: BOX.left - 6, y: atY(t) + 4, "text-anchor": "end" }, text(t));
    });
    const start = (g) => BOX.left + width * groups.indexOf(g), room = width / xs.length; // of a panel, of a value in it
    const aside = (s) => ((series.indexOf(s) + 0.5) / series.length - 0.5) * 0.7;
    const slot = (g, x, s) => start(g) + room * (xs.indexOf(x) + 0.5 + aside(s));
    groups.forEach((g) => {
      const middle = start(g) + width / 2;
      if (groups.length > 1) centred(middle, 14, groupName(g));
      add("line", { x1: start(g), x2: start(g), y1: BOX.top, y2: BOX.bottom, class: "axis" });
      xs.forEach((x) => centred(start(g) + room * (xs.indexOf(x) + 0.5), BOX.bottom + 16, text(x)));
      centred(middle, BOX.bottom + 32, state.x);
    });
    marks.forEach((m, k) => {
      const [colour, shape] = look(m.series, series), jitter = ((k * 0.618) % 1 - 0.5) * 0.3 * room / series.length;
      m.at = [slot(m.group, m.x, m.series) + jitter, atY(m.y)];
      m.node = symbol(shape, m.at[0], m.at[1], 2.5, colour, { "fill-opacity": 0.45, "stroke-opacity": 0.6 });
    });
    cells.forEach((c) => {
      const x = slot(c.group, c.x, c.series), [colour, shape] = look(c.series, series);
      const [bottom, top] = [atY(Math.max(low, c.low)), atY(Math.min(high, c.high))];
      if (c.n > 1) add("line", { x1: x, x2: x, y1: bottom, y2: top, stroke: "#000", "stroke-width": 2 });
      symbol(shape, x, atY(c.mean), 5, colour, { stroke: "#000" });
    });
    series.forEach((s, k) => {
      symbol(look(s, series)[1], BOX.left + 10 + 150 * k, 362, 5, look(s, series)[0], {});
      add("text", { x: BOX.left + 20 + 150 * k, y: 366 }, s);
    });
    const title = (differences() ? "difference in " : "") + label(state.metric);
    add("text", { x: 14, y: 165, transform: "rotate(-90 14 165)", "text-anchor": "middle" }, title);
  }

  function heatShare(mean, cells) { // of the strongest colour: differences by size, means by place between the ends
    const all = cells.map((c) => c.mean), low = Math.min(...all), high = Math.max(...all);
    return differences() ? Math.abs(mean) / (Math.max(-low, high) || 1) : (mean - low) / (high - low || 1);
  }

  function drawHeat(cells) {
    const groups = [...new Set(cells.map((c) => c.group))], xs = [...new Set(cells.map((c) => c.x))];
    if (typeof xs[0] === "number") xs.sort((a, b) => a - b);
    const left = 130;
    const w = (BOX.right - left) / xs.length, h = (BOX.bottom - BOX.top) / groups.length;
    cells.forEach((c) => {
      const share = heatShare(c.mean, cells), x = left + w * xs.indexOf(c.x), y = BOX.top + h * groups.indexOf(c.group);
      const mix = (full) => Math.round(255 + (full - 255) * share); // purple below zero, orange above, white at zero
      const colour = c.mean < 0 && differences() ? `rgb(${mix(84)},${mix(39)},${mix(136)})`
        : `rgb(${mix(179)},${mix(88)},${mix(6)})`;
      const node = add("rect", { x, y, width: w - 2, height: h - 2, fill: colour, stroke: "#ddd" });
      const sign = c.mean > 0 && differences() ? "+" : "";
      const words = centred(x + w / 2, y + h / 2 + 4, sign + String(Number(c.mean.toPrecision(3))));
      if (share > 0.6) words.setAttribute("style", "fill:#fff");
      c.node = node;
      c.at = [x + w / 2, y + h / 2];
    });
    xs.forEach((x) => centred(left + w * (xs.indexOf(x) + 0.5), BOX.bottom + 16, state.x + " " + text(x)));
    groups.forEach((g) => {
      const y = BOX.top + h * (groups.indexOf(g) + 0.5) + 4;
      add("text", { x: left - 8, y, "text-anchor": "end" }, groupName(g));
    });
    add("text", { x: left, y: 366 }, "mean of " + cells[0].series + ", " + label(state.metric));
  }

  function interval(c) {
    return c.n > 1 ? `[${text(c.low)}, ${text(c.high)}]` : "–";
  }

  function fillTable(cells) {
    const head = ["Panel", state.x, "Series", "n seeds", "Mean", "95% t interval"];
    const rows = cells.map((c) => [groupName(c.group), text(c.x), c.series, String(c.n), text(c.mean), interval(c)]);
    shown.replaceChildren(...[head, ...rows].map((row, r) => {
      const line = document.createElement("tr");
      line.append(...row.map((t) => Object.assign(document.createElement(r ? "td" : "th"), { textContent: t })));
      return line;
    }));
  }

  /* ---- what is chosen ---- */

  function targets() {
    return HEAT.includes(state.show) ? heat : marks;
  }

  function choose(k) {
    const list = targets();
    if (chosen >= 0 && list[chosen]) list[chosen].node.classList.remove("chosen");
    chosen = list.length ? (k + list.length) % list.length : -1;
    if (chosen < 0) return;
    const mark = list[chosen];
    mark.node.classList.add("chosen");
    detail.textContent = HEAT.includes(state.show)
      ? `${groupName(mark.group)}, ${state.x} ${text(mark.x)}: mean ${text(mark.mean)}, 95% t interval ${interval(mark)}, ` +
        `n = ${mark.n} seeds, ${mark.marks.length} pairs`
      : (mark.trials.length > 1 ? `difference ${text(mark.y)}. ` : "") + mark.trials.map(describe).join(". Less ");
  }

  chart.addEventListener("mousemove", (event) => {
    const frame = chart.getBoundingClientRect(), scale = 760 / frame.width;
    const x = (event.clientX - frame.left) * scale, y = (event.clientY - frame.top) * scale;
    let best = -1, nearest = HEAT.includes(state.show) ? Infinity : 15;
    targets().forEach((m, k) => {
      const distance = Math.hypot(m.at[0] - x, m.at[1] - y);
      if (distance < nearest) { nearest = distance; best = k; }
    });
    if (best >= 0 && best !== chosen) choose(best);
  });

  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) { choose(chosen < 0 && step < 0 ? -1 : chosen + step); event.preventDefault(); }
    if (event.key === "Home") { choose(0); event.preventDefault(); }
    if (event.key === "End") { choose(-1); event.preventDefault(); }
  });

  /* ---- all of it ---- */

  let heat = [];

  function update() {
    settle();
    fillControls();
    chart.replaceChildren();
    marks = computeMarks();
    chosen = -1;
    const cells = marks.length ? cellsOf() : [];
    heat = HEAT.includes(state.show) ? cells : [];
    const formula = data.labels[state.metric].formula, none = "No completed trials for this choice.";
    chart.setAttribute("aria-label", `${state.show} of ${label(state.metric)} over ${state.x}, study ${state.study}, ` +
      `${marks.length} marks`);
    detail.textContent = marks.length ? `${marks.length} marks. ${state.metric}${formula ? " = " + formula : ""}.` : none;
    if (!marks.length) centred(380, 180, none);
    else if (HEAT.includes(state.show)) drawHeat(cells);
    else drawPanels(cells);
    fillTable(cells);
    const named = [state.x, state.by, state.of, "regime"].concat([state.by, state.x].includes("regime") ? data.regime : []);
    const pooled = varying(data.studies[state.study]).filter((s) => !named.includes(s));
    const lost = data.studies[state.study].filter((i) => value("status", i) !== "completed").length;
    document.getElementById("scope").textContent = `${data.trials.length} of the file's ${data.of} trials are in this page.` +
      (lost ? ` ${lost} trials of this study have no result and are not shown: they diverged, failed or are pending.` : "") +
      (pooled.length ? ` Each series pools over ${pooled.join(", ")}; means are taken by seed first.` : "");
  }

  document.getElementById("explorer").hidden = false;
  buildControls();
  update();
})();

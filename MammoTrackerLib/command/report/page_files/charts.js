// Histograms: bars of what is shown before those of all rows; a click on one keeps only its rows.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const STATUSES = [
  { name: "found", key: "found", mark: "●" },
  { name: "uncertain", key: "uncertain", mark: "◐" },
  { name: "not found", key: "not-found", mark: "○" },
  { name: "kept from registration", key: "kept", mark: "▣" },
  { name: "failed", key: "failed", mark: "✕" },
];
const STATUS = new Map(STATUSES.map((status) => [status.name, status]));

function element(name, attributes = {}, ...children) {
  const isSvg = ["svg", "g", "rect", "line", "text", "title"].includes(name);
  const made = isSvg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const WIDTH = 420, HEIGHT = 132, BASE = 112, TOP = 10;

// A histogram of rows[column]; bins are [low, high), the last with its end; the outermost ones take
// what lies beyond where `open` says so. `onPick` is called with a range, or null for none.
class Histogram {
  constructor(rows, { column, title, low, high, step, tick, unit, open, empty }, onPick) {
    Object.assign(this, { column, low, high, step, unit, open, onPick });
    this.count = Math.round((high - low) / step);
    this.picked = null;
    this.summary = element("span");
    this.node = element("div", { class: "chart" }, element("h3", {}, title, this.summary));
    const totals = new Array(this.count).fill(0);
    for (const row of rows) if (row[column] !== null) totals[this.bin(row[column])]++;
    this.most = Math.max(...totals);
    if (!this.most) {
      this.node.append(element("p", { class: "empty" }, empty));
      return;
    }
    this.bars = [];
    const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "toolbar", "aria-label": `${title}: histogram; arrow keys go from bar to bar, Enter filters by one` });
    const width = WIDTH / this.count;
    svg.append(element("line", { class: "axis", x1: 0, x2: WIDTH, y1: BASE + .5, y2: BASE + .5 }));
    for (let k = 0; k < this.count; k++) {
      const group = element("g", { class: "bin", role: "button", tabindex: k ? -1 : 0, "aria-pressed": "false" });
      const x = k * width + .75, w = width - 1.5;
      group.append(element("rect", { class: "hit", x: k * width, y: TOP - 6, width, height: BASE - TOP + 6 }));
      const height = this.height(totals[k]);
      group.append(element("rect", { class: "all", x, y: BASE - height, width: w, height }));
      const parts = STATUSES.map(({ key }) => element("rect", { class: `part ${key}`, x, width: w, height: 0, y: BASE }));
      const title = element("title");
      group.append(...parts, title);
      group.addEventListener("click", () => this.pick(k));
      group.addEventListener("keydown", (event) => this.keyed(event, k));
      this.bars.push({ group, parts, title, total: totals[k] });
      svg.append(group);
    }
    for (let value = low; value <= high + 1e-9; value += tick) {
      const x = (value - low) / (high - low) * WIDTH;
      const beyond = open[1] && value > high - 1e-9 ? "≥ " : open[0] && value < low + 1e-9 ? "≤ " : "";
      const anchor = value === low ? "start" : value > high - 1e-9 ? "end" : "middle";
      svg.append(element("text", { x, y: HEIGHT - 4, "text-anchor": anchor }, beyond + this.shown(value)));
    }
    this.node.append(svg);
  }

  bin(value) {
    const k = Math.floor((value - this.low) / this.step + 1e-9);
    return Math.min(Math.max(k, 0), this.count - 1);
  }

  height(count) {
    return count && Math.max(2, (BASE - TOP) * count / this.most);
  }

  shown(value) {
    if (this.unit === "share") return percent(value);
    const sign = this.unit === "%" && value > 0 ? "+" : "";
    return `${sign}${Math.round(10 * value) / 10} ${this.unit}`;
  }

  range(k) {
    const low = this.low + k * this.step, high = low + this.step;
    if (k === 0 && this.open[0]) return `under ${this.shown(high)}`;
    if (k === this.count - 1 && this.open[1]) return `over ${this.shown(low)}`;
    return `${this.shown(low)} to ${this.shown(high)}`;
  }

  keeps(row) {
    return this.picked === null || (row[this.column] !== null && this.bin(row[this.column]) === this.picked);
  }

  pick(k) {
    this.picked = k === this.picked ? null : k;
    this.onPick();
  }

  keyed(event, k) {
    const to = { ArrowLeft: k - 1, ArrowRight: k + 1, Home: 0, End: this.count - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") this.pick(k);
    else if (to === undefined || !this.bars[to]) return;
    else {
      this.bars[k].group.setAttribute("tabindex", -1);
      this.bars[to].group.setAttribute("tabindex", 0);
      this.bars[to].group.focus();
    }
    event.preventDefault();
    event.stopPropagation();
  }

  draw(rows) {
    if (!this.bars) return;
    const counts = this.bars.map(() => STATUSES.map(() => 0));
    const values = [];
    for (const row of rows) {
      const value = row[this.column];
      if (value === null) continue;
      counts[this.bin(value)][STATUSES.indexOf(STATUS.get(row.status))]++;
      values.push(value);
    }
    values.sort((a, b) => a - b);
    const middle = values.length ? (values[(values.length - 1) >> 1] + values[values.length >> 1]) / 2 : null;
    this.summary.textContent = middle === null ? "none" : `median ${this.shown(middle)}, n = ${values.length.toLocaleString("en")}`;
    this.bars.forEach(({ group, parts, title, total }, k) => {
      let y = BASE;
      const sum = counts[k].reduce((a, b) => a + b, 0);
      const all = this.height(sum);
      parts.forEach((part, s) => {
        const height = sum ? all * counts[k][s] / sum : 0;
        y -= height;
        part.setAttribute("y", y);
        part.setAttribute("height", height);
      });
      const text = `${this.range(k)}: ${sum} of ${total}`;
      title.textContent = text;
      group.setAttribute("aria-label", text);
      group.setAttribute("aria-pressed", k === this.picked);
    });
  }
}

// The page: its rows, filters and order, and the sheet, of which only what is seen exists.
"use strict";

const $ = (id) => document.getElementById(id);
const GAP = 14, FACTS = 128, SMALL = 330, LARGE = 560, AHEAD = 600;

// Cards in a grid, made when they come near the window and dropped when they leave it.
class Sheet {
  constructor(node, detail, series, withPictures) {
    Object.assign(this, { node, detail, series, withPictures, rows: [], cards: new Map(), columns: 1, active: 0, least: SMALL });
    addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.lay()).observe(node);
    addEventListener("resize", () => this.lay());
    node.addEventListener("keydown", (event) => this.keyed(event));
    node.addEventListener("focusin", (event) => {
      const card = event.target.closest("li");
      if (card) this.activate(Number(card.dataset.place), false);
    });
    detail.onClose = (place) => this.activate(place, true);
  }

  show(rows) {
    this.rows = rows;
    this.active = 0;
    this.clear();
    this.lay();
  }

  clear() {
    for (const card of this.cards.values()) card.remove();
    this.cards.clear();
  }

  lay() {
    const width = this.node.clientWidth;
    const columns = Math.max(1, Math.floor((width + GAP) / (this.least + GAP)));
    const side = (width - GAP * (columns - 1)) / columns;
    if (columns !== this.columns || side !== this.side) {
      Object.assign(this, { columns, side, height: (this.withPictures ? Math.round(side / 2) : 0) + FACTS });
      for (const [place, card] of this.cards) this.place(card, place);
    }
    const lines = Math.ceil(this.rows.length / columns);
    this.node.style.height = `${Math.max(0, lines * (this.height + GAP) - GAP)}px`;
    this.draw();
  }

  place(card, place) {
    const x = place % this.columns * (this.side + GAP), y = Math.floor(place / this.columns) * (this.height + GAP);
    card.style.width = `${this.side}px`;
    card.style.height = `${this.height}px`;
    card.style.transform = `translate(${x}px, ${y}px)`;
  }

  draw() {
    const top = -this.node.getBoundingClientRect().top, line = this.height + GAP;
    const first = Math.max(0, Math.floor((top - AHEAD) / line)) * this.columns;
    const end = Math.min(this.rows.length, Math.ceil((top + innerHeight + AHEAD) / line) * this.columns);
    for (const [place, card] of this.cards) {
      if ((place < first || place >= end) && !card.contains(document.activeElement)) {
        card.remove();
        this.cards.delete(place);
      }
    }
    for (let place = first; place < end; place++) if (!this.cards.has(place)) this.make(place);
  }

  make(place) {
    const card = element("li", { "aria-posinset": place + 1, "aria-setsize": this.rows.length, "data-place": place });
    const button = cardOf(this.rows[place], this.series, this.withPictures);
    button.tabIndex = place === this.active ? 0 : -1;
    button.addEventListener("click", () => this.detail.open(this.rows, place));
    card.append(button);
    this.place(card, place);
    // In the order of the rows, for readers of the screen and the tab key.
    const later = [...this.node.children].find((other) => Number(other.dataset.place) > place);
    this.node.insertBefore(card, later ?? null);
    this.cards.set(place, card);
  }

  activate(place, focus) {
    const tab = (which, index) => { const card = this.cards.get(which); if (card) card.firstChild.tabIndex = index; };
    tab(this.active, -1);
    this.active = place;
    if (focus) {
      const y = Math.floor(place / this.columns) * (this.height + GAP) + this.node.getBoundingClientRect().top;
      const bar = document.querySelector(".tools").offsetHeight + GAP;
      if (y < bar) scrollBy(0, y - bar);
      else if (y + this.height > innerHeight) scrollBy(0, y + this.height - innerHeight + GAP);
      this.draw();
      this.cards.get(place)?.firstChild.focus({ preventScroll: true });
    }
    tab(place, 0);
  }

  keyed(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const place = Math.min(Math.max(this.active + by, 0), this.rows.length - 1);
    this.activate(place, true);
  }
}

function readRows() {
  const { about, columns, rows } = JSON.parse($("data").textContent);
  const made = rows.map((values, place) => {
    const row = { place };
    columns.forEach((name, k) => { row[name] = values[k]; });
    row.boxes ??= [null, null, null, false];
    row.lesion_shown = row.boxes[0] !== null;
    row.current_shown = row.boxes[3] === true;
    row.search = `${row.pair} ${row.lesion} ${row.pair}/${row.lesion}`.toLowerCase();
    return row;
  });
  return { about, rows: made };
}

function main() {
  const { about, rows } = readRows();
  const number = (value) => value.toLocaleString("en");
  const share = (count) => rows.length ? `${(100 * count / rows.length).toFixed(count && count < rows.length / 100 ? 1 : 0)} %` : "";
  const pairs = new Set(rows.map((row) => row.pair)).size;
  const noun = about.series ? "series" : pairs === 1 ? "pair" : "pairs";
  const things = `${rows.length === 1 ? "lesion" : "lesions"}${about.series ? " on exams" : ""}`;
  $("about").textContent = `${number(rows.length)} ${things} in ${number(pairs)} ${noun}, as of ${about.made}` +
    (about.left > 0 ? `; ${number(about.left)} more are not tracked yet` : "") +
    (about.pictures ? "" : "; without the manifest, so without pictures, shifts and sizes");
  $("legend").hidden = !about.pictures;

  if (about.series || !about.pictures) document.querySelector("#order [value=shift]").remove();
  if (!about.pictures) document.querySelector("#order [value=change]").remove();
  for (const id of ["boxes", "large"]) $(id).parentNode.hidden = !about.pictures;

  const detail = new Detail(about.series, about.pictures);
  const sheet = new Sheet($("sheet"), detail, about.series, about.pictures);

  const counts = new Map(STATUSES.map(({ name }) => [name, 0]));
  for (const row of rows) counts.set(row.status, counts.get(row.status) + 1);
  $("status").append(new Option("All", ""), ...STATUSES.map(({ name }) => new Option(`${name} (${number(counts.get(name))})`, name)));
  const types = [...new Set(rows.map((row) => row.type))].sort();
  $("type").append(new Option("All", "all"), ...types.map((type) => new Option(type || "(none)", `=${type}`)));
  $("type").parentNode.hidden = types.length < 2;
  const tiles = STATUSES.filter(({ name }) => counts.get(name) || name !== "failed").map(({ name, key, mark }) => {
    const tile = element("button", { class: `tile ${key}`, type: "button", "aria-pressed": "false" },
      element("span", { class: "name" }, element("i", { class: "mark", "aria-hidden": "true" }, mark), name),
      element("span", { class: "number" }, number(counts.get(name)), element("small", {}, share(counts.get(name)))));
    tile.addEventListener("click", () => {
      $("status").value = $("status").value === name ? "" : name;
      update();
    });
    const part = element("i", { class: key });
    part.style.flex = counts.get(name);
    if (counts.get(name)) $("shares").append(part);
    $("tiles").append(tile);
    return { name, tile };
  });

  const unknown = "None is known for these rows.";
  const charts = [
    { column: "score", title: "Probability", low: 0, high: 1, step: .05, tick: .25, unit: "share", open: [false, false], empty: "No row has one." },
    { column: "shift", title: "Shift from registration", low: 0, high: 20, step: 1, tick: 5, unit: "mm", open: [false, true], empty: unknown },
    { column: "change", title: about.series ? "Size against the marked exam" : "Size against the prior", low: -60, high: 100, step: 10, tick: 40, unit: "%", open: [true, true], empty: unknown },
  ].filter(({ column }) => column === "score" || about.pictures && !(about.series && column === "shift")).map((options) => new Histogram(rows, options, () => update()));
  $("charts").append(...charts.map((chart) => chart.node));

  function update() {
    const words = $("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = $("status").value, type = $("type").value, order = $("order").value;
    const shown = rows.filter((row) => (!status || row.status === status) && (type === "all" || `=${row.type}` === type) &&
      words.every((word) => row.search.includes(word)) && charts.every((chart) => chart.keeps(row)));
    const back = $("direction").getAttribute("aria-pressed") === "true" ? -1 : 1;
    if (order) shown.sort((a, b) => (a[order] === null) - (b[order] === null) || back * (a[order] - b[order]) || a.place - b.place);
    else if (back < 0) shown.reverse();
    for (const { name, tile } of tiles) tile.setAttribute("aria-pressed", name === status);
    for (const chart of charts) chart.draw(shown);
    $("ranges").replaceChildren(...charts.filter((chart) => chart.picked !== null).map((chart) => {
      const text = `${chart.column === "score" ? "probability" : chart.column} ${chart.range(chart.picked)}`;
      const button = element("button", { type: "button", "aria-label": `Remove the filter ${text}` }, `${text}  ✕`);
      button.addEventListener("click", () => chart.pick(chart.picked));
      return button;
    }));
    const filtered = shown.length < rows.length || words.length > 0;
    $("count").textContent = filtered ? `${number(shown.length)} of ${number(rows.length)}` : `All ${number(rows.length)}`;
    $("reset").hidden = !filtered;
    $("none").hidden = shown.length > 0;
    $("none").textContent = rows.length ? "No lesion fits these filters." : "The results have no row yet.";
    sheet.show(shown);
  }

  for (const id of ["status", "type", "order"]) $(id).addEventListener("change", update);
  $("text").addEventListener("input", update);
  $("direction").addEventListener("click", () => {
    const back = $("direction").getAttribute("aria-pressed") !== "true";
    $("direction").setAttribute("aria-pressed", back);
    $("direction").firstChild.textContent = back ? "↓" : "↑";
    $("direction").title = back ? "Highest first" : "Lowest first";
    update();
  });
  $("reset").addEventListener("click", () => {
    $("text").value = $("status").value = "";
    $("type").value = "all";
    for (const chart of charts) chart.picked = null;
    update();
    $("text").focus();
  });
  const boxes = () => document.body.classList.toggle("no-boxes", !$("boxes").checked);
  $("boxes").addEventListener("change", boxes);
  addEventListener("keydown", (event) => {
    const isText = event.target instanceof HTMLInputElement && event.target.type === "search" || event.target instanceof HTMLSelectElement;
    if (event.key.toLowerCase() !== "b" || isText || event.ctrlKey || event.altKey || event.metaKey) return;
    $("boxes").checked = !$("boxes").checked;
    boxes();
  });
  $("large").addEventListener("change", () => {
    sheet.least = $("large").checked ? LARGE : SMALL;
    sheet.clear();
    sheet.lay();
  });
  update();
}

main();

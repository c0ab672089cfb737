// A lesion's card and its details. Texts go in as texts, never as HTML.
"use strict";

function percent(value) {
  if (value === null) return "";
  if (value > 0.99 && value < 1) return ">99 %"; // no estimate is certain
  if (value > 0 && value < 0.01) return "<1 %";
  return `${Math.floor(100 * value + 1e-9)} %`; // so that 79.8 % does not read like found
}

function signed(value) {
  const whole = Math.round(value);
  return (whole > 0 ? "+" : whole < 0 ? "−" : "") + Math.abs(whole);
}

function factsOf(row) {
  const facts = [];
  if (row.before !== null && row.after !== null) facts.push(["Size", `${row.before.toFixed(1)} → ${row.after.toFixed(1)} mm`]);
  else if (row.before !== null) facts.push(["Size", `${row.before.toFixed(1)} mm`]);
  if (row.change !== null) facts.push(["Change", `${signed(row.change)} %`]);
  if (row.shift !== null) facts.push(["Shift", `${row.shift.toFixed(1)} mm`]);
  return facts;
}

function nameOf(row) {
  return [row.pair || "(no name)", [row.lesion, row.exam].filter(Boolean).join(" · ")];
}

function verdictOf(row) {
  const { key, mark } = STATUS.get(row.status);
  const node = element("span", { class: `verdict ${key}` }, element("i", { class: "mark", "aria-hidden": "true" }, mark), row.status);
  if (row.score !== null && row.status !== "not found") node.append(` ${percent(row.score)}`);
  return node;
}

// Boxes are in shares of a square; both squares lie beside each other in a drawing of 2 x 1.
function boxesOf(row) {
  const drawing = element("svg", { viewBox: "0 0 2 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  const add = (box, offset, ...classes) => {
    if (!box) return;
    const half = element("svg", { x: offset, y: 0, width: 1, height: 1, viewBox: "0 0 1 1" });
    const [x0, y0, x1, y1] = box;
    for (const name of classes) half.append(element("rect", { class: name, x: x0, y: y0, width: x1 - x0, height: y1 - y0 }));
    drawing.append(half);
  };
  const [lesion, answer, registration] = row.boxes;
  add(registration, 1, "under", "registration");
  add(lesion, 0, "under", "over");
  add(answer, 1, "under", "over");
  drawing.append(element("line", { class: "divide", x1: 1, x2: 1, y1: 0, y2: 1 }));
  const end = row.current_shown ? 1.96 : .96;
  drawing.append(element("line", { class: "ruler", x1: end - 10 / row.field, x2: end, y1: .955, y2: .955 }));
  return drawing;
}

function picturesOf(row, series, loading) {
  const node = element("span", { class: "pictures" });
  const without = (text, where) => node.append(element("span", { class: `without ${where}` }, text));
  if (!row.picture) {
    without(row.note, "");
    return node;
  }
  const sides = series ? ["marked exam", row.exam.split(",")[0] || "exam"] : ["prior", "current"];
  const image = element("img", { loading, decoding: "async", width: 720, height: 360, alt: `${sides[0]} and ${sides[1]}, around the lesion` });
  image.addEventListener("error", () => {
    image.remove();
    without("The picture is missing: keep the folder pictures beside this page.", "");
  });
  image.src = row.picture;
  node.append(image, boxesOf(row));
  node.append(element("span", { class: "label left" }, sides[0]), element("span", { class: "label right" }, sides[1]));
  if (!row.lesion_shown) without(row.note || "The lesion has no box.", "first");
  if (!row.current_shown) without(row.note || "No answer", "half");
  return node;
}

function cardOf(row, series, withPictures) {
  const [pair, rest] = nameOf(row);
  const facts = factsOf(row);
  const small = facts.map(([name, value]) => ({ Shift: `shift ${value}`, Size: value, Change: `(${value})` })[name]);
  const spoken = `${pair} ${rest}: ${row.status} ${percent(row.score)}. ${facts.map((fact) => fact.join(" ")).join(", ")}`;
  const card = element("button", { class: "card", type: "button", "aria-label": spoken });
  if (withPictures) card.append(picturesOf(row, series, "lazy"));
  card.append(element("span", { class: "facts" },
    element("span", { class: "line" }, element("span", { class: "title", title: pair }, pair), verdictOf(row)),
    element("span", { class: "line" }, element("span", { title: rest }, rest), element("span", { class: "type", title: row.type }, row.type)),
    element("span", { class: "line small" }, element("span", {}, small.join("  "))),
    element("span", { class: "reason" }, row.message)));
  return card;
}

// Shows a lesion in large; the arrow keys go on to the one before and after it.
class Detail {
  constructor(series, withPictures) {
    Object.assign(this, { series, withPictures });
    this.dialog = document.getElementById("detail");
    this.title = document.getElementById("detail-title");
    this.body = document.getElementById("detail-body");
    document.getElementById("close").addEventListener("click", () => this.dialog.close());
    document.getElementById("before").addEventListener("click", () => this.step(-1));
    document.getElementById("next").addEventListener("click", () => this.step(1));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) this.step(by);
    });
    this.dialog.addEventListener("close", () => this.onClose(this.place));
  }

  open(rows, place) {
    this.rows = rows;
    this.show(place);
    this.dialog.showModal();
  }

  step(by) {
    if (this.rows[this.place + by]) this.show(this.place + by);
  }

  show(place) {
    this.place = place;
    const row = this.rows[place];
    const [pair, rest] = nameOf(row);
    this.title.replaceChildren(pair, element("span", {}, ` ${rest}`));
    const facts = [["Status", verdictOf(row)], ["Probability", percent(row.score)], ["Type", row.type], ...factsOf(row)];
    if (row.field) facts.push(["Field", `${row.field.toFixed(0)} mm`]);
    if (row.turn) facts.push([this.series ? "This exam is shown" : "The current image is shown", row.turn]);
    facts.push(["Lesion", `${place + 1} of ${this.rows.length.toLocaleString("en")}`]);
    const list = element("dl");
    for (const [name, value] of facts) if (value) list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    const texts = [row.message, row.picture ? row.note : ""].filter(Boolean);
    const pictures = this.withPictures ? [picturesOf(row, this.series, "eager")] : [];
    this.body.replaceChildren(...pictures, list, ...texts.map((text) => element("p", { class: "message" }, text)));
    document.getElementById("before").disabled = place === 0;
    document.getElementById("next").disabled = place === this.rows.length - 1;
  }
}

// The page: a picture and a verb in, an answer out. No outside resources, nothing is stored.

import { clearObjects, colourOf, css, drawObjects, objectAt } from "./drawing.js";

const VERBS = {
  detect: { title: "Find objects", fields: { labels: "labels" }, show: showObjects },
  classify: { title: "Name it", fields: { labels: "labels" }, show: (a) => showRanks(a.names, a.probabilities) },
  caption: { title: "Describe it", fields: {}, show: (a) => showSentence(a.caption) },
  answer: {
    title: "Answer",
    fields: { question: "question", answers: "answers" },
    show: (a) => showRanks(a.answers, a.probabilities),
  },
  match: { title: "Compare with texts", fields: { texts: "texts" }, show: showMatches },
  fill_mask: { title: "Fill in words", fields: { texts: "blanks" }, show: showWords },
};
const LISTED = 12;

const at = (id) => document.getElementById(id);
const [stage, shown, masks, boxes, results, status] = ["stage", "shown", "masks", "boxes", "results", "status"].map(at);
let picture = null;
let detection = null; // the last answer of detect, with its colours
let pointed = null; // the object that is pointed out
let asked = 0;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const percent = (probability) => `${(100 * probability).toFixed(1)} %`;
const verb = () => document.querySelector("input[name=verb]:checked")?.value;

function say(text, isWrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", isWrong);
}

// --- what to ask -------------------------------------------------------------------------------------------------------

async function describe() {
  const model = await (await fetch("v1/model")).json();
  at("model").textContent = model.name;
  for (const [name, { title }] of Object.entries(VERBS)) {
    if (!model.verbs.includes(name)) continue;
    const radio = element("input", { type: "radio", name: "verb", value: name });
    radio.addEventListener("change", showFields);
    at("verbs").append(element("label", {}, radio, element("span", {}, title)));
  }
  const first = document.querySelector("input[name=verb]");
  if (!first) return say("This model was trained for nothing that the page can ask.", true);
  first.checked = true;
  showFields();
}

function showFields() {
  for (const field of document.querySelectorAll("[data-for]")) {
    field.hidden = !field.dataset.for.split(" ").includes(verb());
  }
}

function choose(file) {
  if (!file) return;
  if (!file.type.startsWith("image/")) return say(`${file.name} is not a picture.`, true);
  picture = file;
  URL.revokeObjectURL(shown.src);
  shown.src = URL.createObjectURL(file);
  stage.hidden = false;
  forgetObjects();
  results.replaceChildren(element("p", { class: "hint" }, "Ask about it."));
  say(`${file.name}, ${Math.ceil(file.size / 1024)} KiB`);
}

async function ask() {
  const { fields, show } = VERBS[verb()];
  if (!picture && verb() !== "fill_mask") return say("Choose a picture first.", true);
  const form = new FormData();
  if (picture) form.append("image", picture);
  for (const [name, id] of Object.entries(fields)) if (at(id).value.trim()) form.append(name, at(id).value);
  if (verb() === "detect") form.append("threshold", at("threshold").value / 100);
  const mine = (asked += 1);
  const start = performance.now();
  at("ask").disabled = true;
  say("Asking …");
  try {
    const response = await fetch(`v1/${verb()}`, { method: "POST", body: form });
    const answer = await response.json();
    if (mine !== asked) return;
    if (!response.ok) return say(`${answer.error.message}: ${answer.error.change}.`, true);
    forgetObjects();
    show(answer);
    say(`Answered in ${((performance.now() - start) / 1000).toFixed(2)} s.`);
  } catch (error) {
    say(`The server cannot be reached (${error.message}).`, true);
  } finally {
    if (mine === asked) at("ask").disabled = false;
  }
}

// --- what was answered -------------------------------------------------------------------------------------------------

function ranked(name, probability, swatch = null) {
  const label = element("span", { class: "name" }, ...(swatch ? [swatch] : []), name);
  const meter = element("meter", { min: 0, max: 1, value: probability, "aria-hidden": "true" });
  return [label, element("span", {}, percent(probability)), meter];
}

function showRanks(names, probabilities) {
  const rows = names.slice(0, LISTED).map((name, place) =>
    element("li", {}, element("div", { class: "row" }, ...ranked(name, probabilities[place]))));
  const note = names.length > LISTED ? [element("p", { class: "note" }, `and ${names.length - LISTED} more`)] : [];
  results.replaceChildren(element("ol", {}, ...rows), ...note);
}

function showSentence(text) {
  results.replaceChildren(element("p", { class: "sentence" }, text || "(no words)"));
}

function showMatches({ texts, similarities, probabilities }) {
  const order = texts.map((_, place) => place).sort((a, b) => similarities[b] - similarities[a]);
  showRanks(order.map((i) => `${texts[i]} (cosine ${similarities[i].toFixed(2)})`), order.map((i) => probabilities[i]));
}

function showWords({ texts }) {
  const slots = texts.flatMap((text) => text.slots);
  const lists = slots.map((slot, place) => {
    const rows = slot.words.slice(0, 5).map((word, rank) =>
      element("li", {}, element("div", { class: "row" }, ...ranked(word, slot.probabilities[rank]))));
    return element("section", {}, element("h2", {}, `Word ${place + 1}`), element("ol", {}, ...rows));
  });
  results.replaceChildren(...lists);
}

function showObjects(answer) {
  const names = [...new Set(answer.objects.map((object) => object.name))];
  detection = { answer, colours: answer.objects.map((object) => colourOf(names.indexOf(object.name))) };
  if (!answer.objects.length) {
    const hint = "Nothing reaches this score: lower the threshold, or try other labels.";
    return results.replaceChildren(element("p", { class: "hint" }, hint));
  }
  const rows = answer.objects.map((object, place) => {
    const swatch = element("canvas", { class: "swatch", width: 1, height: 1, "aria-hidden": "true" });
    const paint = swatch.getContext("2d");
    paint.fillStyle = css(detection.colours[place]);
    paint.fillRect(0, 0, 1, 1);
    const row = element("button", { type: "button", class: "row" }, ...ranked(object.name, object.score, swatch));
    for (const event of ["mouseenter", "focus"]) row.addEventListener(event, () => pointOut(place));
    for (const event of ["mouseleave", "blur"]) row.addEventListener(event, () => pointOut(null));
    return element("li", {}, row);
  });
  results.replaceChildren(element("ol", {}, ...rows));
  pointed = undefined; // nothing is drawn yet
  pointOut(null);
}

function pointOut(place) {
  if (!detection || place === pointed) return;
  pointed = place;
  drawObjects(masks, boxes, detection.answer, detection.colours, place);
  results.querySelectorAll("button.row").forEach((row, index) => row.classList.toggle("chosen", index === place));
}

function forgetObjects() {
  detection = null;
  clearObjects(masks, boxes);
}

// --- events ------------------------------------------------------------------------------------------------------------

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
at("file").addEventListener("change", (event) => choose(event.target.files[0]));
at("threshold").addEventListener("input", (event) => {
  at("threshold-value").textContent = `${event.target.value} %`;
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") choose(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => choose(event.clipboardData.files[0]));
stage.addEventListener("mousemove", (event) => {
  if (!detection) return;
  const frame = stage.getBoundingClientRect();
  const x = ((event.clientX - frame.left) / frame.width) * detection.answer.width;
  const y = ((event.clientY - frame.top) / frame.height) * detection.answer.height;
  pointOut(objectAt(detection.answer, x, y));
});
stage.addEventListener("mouseleave", () => pointOut(null));
describe().catch((error) => say(`The server cannot be reached (${error.message}).`, true));

// Sends the drawing to /predict whenever it changes, one request at a time, and shows the result.

import { Pad } from "./pad.js";

const SEND_DELAY = 100; // milliseconds from a change to the request
const MAX_SIDE = 1200; // longer side in pixels to which pictures are reduced
const MAX_BYTES = 1 << 20; // largest upload that the service accepts
const ANNOUNCE_DELAY = 700; // milliseconds without a change after which screen readers announce the result

const at = (id) => document.getElementById(id);
const percent = (share) => `${Number((100 * share).toFixed(1))}%`;
const pad = new Pad(at("pad"), changed);
const bars = Array.from({ length: 10 }, (_, digit) => bar(digit));
let prediction = null;
let selected = 0;
let timer = 0;
let announcing = 0;
let sending = false;
let repeat = false;

function make(name, kind, ...children) {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  element.append(...children);
  return element;
}

function bar(digit) {
  const fill = make("span", "fill");
  const share = make("span", "share", "0%");
  const row = make("li", "", make("span", "", String(digit)), make("span", "track", fill), share);
  at("bars").append(row);
  return { row, fill, share };
}

function changed() {
  at("undo").disabled = at("clear").disabled = pad.empty;
  at("paper").classList.toggle("drawn", !pad.empty);
  timer ||= setTimeout(update, SEND_DELAY);
}

async function update() {
  timer = 0;
  if (sending) {
    repeat = true;
    return;
  }
  sending = true;
  do {
    repeat = false;
    if (pad.empty) show(null, "Nothing drawn yet.");
    else await send(pad.toCanvas());
  } while (repeat);
  sending = false;
}

async function send(canvas) {
  const { version } = pad;
  try {
    const body = await file(canvas);
    const start = performance.now();
    const response = await fetch("/predict?images=true", { method: "POST", body });
    const found = await response.json();
    if (response.status === 429 || response.status === 503) {
      show(null, "The service is busy. Retrying …", true);
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("retry-after") ?? 1)));
      repeat = true;
    } else if (!response.ok) show(null, `Error: ${found.error}`, true);
    else if (pad.version === version) show(found, summary(found, performance.now() - start));
  } catch {
    show(null, "The service is not responding. Is it running?", true);
  }
}

function summary({ digits, rejected }, milliseconds) {
  if (digits.length) return `Recognised in ${Math.round(milliseconds)} ms. Model input:`;
  if (!rejected.length) return "No digits found.";
  const reasons = [...new Set(rejected.map(({ reason }) => reason))];
  return `No digits found. Rejected: ${reasons.join("; ")}.`;
}

// The canvas as an image file within the service's limit.
async function file(canvas) {
  const png = await canvas.convertToBlob({ type: "image/png" });
  return png.size <= MAX_BYTES ? png : canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
}

function show(found, message, failed = false) {
  prediction = found;
  const digits = found?.digits ?? [];
  selected = Math.min(selected, Math.max(digits.length - 1, 0));
  const result = at("result");
  result.classList.toggle("nothing", !digits.length);
  result.classList.toggle("failed", failed);
  at("text").textContent = found?.text || "–";
  at("text").classList.toggle("long", digits.length > 6);
  at("message").textContent = message;
  chips(digits, found?.images ?? []);
  select(selected);
  clearTimeout(announcing);
  announcing = setTimeout(() => { at("spoken").textContent = digits.length ? sentence(digits) : message; }, ANNOUNCE_DELAY);
}

function sentence(digits) {
  const each = digits.map(({ digit, probability }) => `${digit} with ${percent(probability)}`);
  return `Recognised: ${digits.map(({ digit }) => digit).join(" ")}. ${each.join(", ")}.`;
}

// One chip per digit. Existing chips are reused, which keeps the focus.
function chips(digits, images) {
  const box = at("digits");
  box.hidden = !digits.length;
  let all = [...box.querySelectorAll(".digit")];
  for (const extra of all.splice(digits.length)) extra.remove();
  while (all.length < digits.length) {
    const radio = make("input", "unseen");
    Object.assign(radio, { type: "radio", name: "digit" });
    const number = all.length;
    radio.addEventListener("change", () => select(number));
    const image = make("img");
    image.alt = "";
    const chip = make("label", "digit", radio, image, make("span", "", make("b"), " ", make("span")));
    box.append(chip);
    all.push(chip);
  }
  all.forEach((chip, number) => {
    chip.querySelector("img").src = `data:image/png;base64,${images[number]}`;
    chip.querySelector("b").textContent = digits[number].digit;
    chip.querySelector("span span").textContent = percent(digits[number].probability);
  });
}

function select(number) {
  selected = number;
  const digits = prediction?.digits ?? [];
  const digit = digits[number];
  at("digits").querySelectorAll("input").forEach((radio, each) => { radio.checked = each === number; });
  bars.forEach(({ row, fill, share }, value) => {
    const probability = digit?.probabilities[value] ?? 0;
    fill.style.width = `${100 * probability}%`;
    share.textContent = percent(probability);
    row.classList.toggle("best", value === digit?.digit);
  });
  pad.mark(digits.map(({ box }) => box), number, (prediction?.rejected ?? []).map(({ box }) => box));
}

async function open(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    show(null, `Cannot open ${file.name} as a picture.`, true);
    return;
  }
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const picture = new OffscreenCanvas(Math.max(1, bitmap.width * scale), Math.max(1, bitmap.height * scale));
  const context = picture.getContext("2d");
  context.fillStyle = "#fff"; // behind transparent pixels
  context.fillRect(0, 0, picture.width, picture.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, picture.width, picture.height);
  pad.show(picture);
}

function openFirst(files, event) {
  const file = [...files].find((each) => each.type.startsWith("image/")) ?? files[0];
  if (!file) return;
  event.preventDefault();
  open(file);
}

at("undo").addEventListener("click", () => pad.undo());
at("clear").addEventListener("click", () => pad.clear());
for (const id of ["file", "photo"]) {
  at(id).addEventListener("change", (event) => {
    openFirst(event.target.files, event);
    event.target.value = ""; // allows choosing the same file repeat
  });
}
document.addEventListener("paste", (event) => openFirst(event.clipboardData.files, event));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("paper").classList.remove("over");
  openFirst(event.dataTransfer.files, event);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  at("paper").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) at("paper").classList.remove("over");
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") pad.clear();
  else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    pad.undo();
  }
});

show(null, "Nothing drawn yet.");
fetch("/model").then((response) => response.json()).then((model) => {
  const size = model.training?.parameters ? `, ${model.training.parameters.toLocaleString("en")} parameters` : "";
  at("model").textContent = `Model ${model.name}${size}`;
  at("model").title = model.sha256;
}, () => {});

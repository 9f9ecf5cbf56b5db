// What is on the sheet goes to /predict while it changes, one request at a time; the answer becomes text and bars.

import { Pad } from "./pad.js";

const OFTEN = 100; // milliseconds between looks at a sheet that changes
const LONGEST = 1200; // pixels of the longer side of a picture that is sent
const MOST = 1 << 20; // bytes that the service takes
const SILENCE = 700; // milliseconds without a change, after which the result is spoken

const at = (id) => document.getElementById(id);
const percent = (share) => `${Number((100 * share).toFixed(1))}%`;
const pad = new Pad(at("pad"), changed);
const bars = Array.from({ length: 10 }, (_, digit) => bar(digit));
let answer = null;
let chosen = 0;
let timer = 0;
let speaking = 0;
let asking = false;
let again = false;

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
  timer ||= setTimeout(look, OFTEN);
}

async function look() {
  timer = 0;
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  do {
    again = false;
    if (pad.empty) show(null, "Nothing to read yet.");
    else await ask(pad.sheet());
  } while (again);
  asking = false;
}

async function ask(sheet) {
  const { version } = pad;
  try {
    const body = await file(sheet);
    const start = performance.now();
    const response = await fetch("/predict?images=true", { method: "POST", body });
    const found = await response.json();
    if (response.status === 429 || response.status === 503) {
      show(null, "The service is busy. Trying again …", true);
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("retry-after") ?? 1)));
      again = true;
    } else if (!response.ok) show(null, `Not read: ${found.error}`, true);
    else if (pad.version === version) show(found, summary(found.digits.length, performance.now() - start));
  } catch {
    show(null, "The service does not answer. Is it running?", true);
  }
}

function summary(count, milliseconds) {
  return count ? `What the model saw, read in ${Math.round(milliseconds)} ms` : "No digit found.";
}

// A canvas as a file that the service takes.
async function file(sheet) {
  const png = await sheet.convertToBlob({ type: "image/png" });
  return png.size <= MOST ? png : sheet.convertToBlob({ type: "image/jpeg", quality: 0.85 });
}

function show(found, message, failed = false) {
  answer = found;
  const digits = found?.digits ?? [];
  chosen = Math.min(chosen, Math.max(digits.length - 1, 0));
  const result = at("result");
  result.classList.toggle("nothing", !digits.length);
  result.classList.toggle("failed", failed);
  at("text").textContent = found?.text || "–";
  at("text").classList.toggle("long", digits.length > 6);
  at("message").textContent = message;
  chips(digits, found?.images ?? []);
  choose(chosen);
  clearTimeout(speaking);
  speaking = setTimeout(() => { at("spoken").textContent = digits.length ? sentence(digits) : message; }, SILENCE);
}

function sentence(digits) {
  const each = digits.map(({ digit, probability }) => `${digit} with ${percent(probability)}`);
  return `Read: ${digits.map(({ digit }) => digit).join(" ")}. ${each.join(", ")}.`;
}

// One chip per digit. Those that are there already stay, so that one with the focus keeps it.
function chips(digits, images) {
  const box = at("digits");
  box.hidden = !digits.length;
  let all = [...box.querySelectorAll(".digit")];
  for (const extra of all.splice(digits.length)) extra.remove();
  while (all.length < digits.length) {
    const radio = make("input", "unseen");
    Object.assign(radio, { type: "radio", name: "digit" });
    const number = all.length;
    radio.addEventListener("change", () => choose(number));
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

function choose(number) {
  chosen = number;
  const digits = answer?.digits ?? [];
  const digit = digits[number];
  at("digits").querySelectorAll("input").forEach((radio, each) => { radio.checked = each === number; });
  bars.forEach(({ row, fill, share }, value) => {
    const probability = digit?.probabilities[value] ?? 0;
    fill.style.width = `${100 * probability}%`;
    share.textContent = percent(probability);
    row.classList.toggle("best", value === digit?.digit);
  });
  pad.mark(digits.map(({ box }) => box), number);
}

async function open(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    show(null, `Not a picture that can be read here: ${file.name}`, true);
    return;
  }
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const picture = new OffscreenCanvas(Math.max(1, bitmap.width * scale), Math.max(1, bitmap.height * scale));
  const context = picture.getContext("2d");
  context.fillStyle = "#fff"; // behind what is transparent
  context.fillRect(0, 0, picture.width, picture.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, picture.width, picture.height);
  pad.show(picture);
}

function take(files, event) {
  const file = [...files].find((each) => each.type.startsWith("image/")) ?? files[0];
  if (!file) return;
  event.preventDefault();
  open(file);
}

at("undo").addEventListener("click", () => pad.undo());
at("clear").addEventListener("click", () => pad.clear());
for (const id of ["file", "photo"]) {
  at(id).addEventListener("change", (event) => {
    take(event.target.files, event);
    event.target.value = ""; // the same file may be chosen again
  });
}
document.addEventListener("paste", (event) => take(event.clipboardData.files, event));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("paper").classList.remove("over");
  take(event.dataTransfer.files, event);
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

show(null, "Nothing to read yet.");
fetch("/model").then((response) => response.json()).then((model) => {
  const size = model.training?.parameters ? `, ${model.training.parameters.toLocaleString("en")} parameters` : "";
  at("model").textContent = `Model ${model.name}${size}`;
  at("model").title = model.sha256;
}, () => {});

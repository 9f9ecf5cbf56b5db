// A sheet to write on: strokes, or a picture; with the boxes of the digits that were found.
// Places are in units of its own: it is WIDTH wide, and as high as its shape on the screen says.

const WIDTH = 640;
const PEN = 17; // width of a stroke
const STEP = 16; // of the pen that is moved by keys

export class Pad {
  #canvas;
  #changed;
  #strokes = [];
  #picture = null; // a canvas, drawn as large as it fits
  #boxes = [];
  #chosen = 0;
  version = 0; // another whenever what was on the sheet is gone
  #drawing = new Map(); // the stroke of each finger that is down
  #tip = null; // where the keyboard's pen is
  #stroke = null; // what it is writing

  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => { this.#tip = this.#stroke = null; this.#draw(); });
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  get empty() { return !this.#strokes.length && !this.#picture; }
  get #height() { return WIDTH * this.#canvas.clientHeight / this.#canvas.clientWidth; }

  undo() {
    if (this.#picture) this.#picture = null;
    else this.#strokes.pop();
    this.#update();
  }

  clear() {
    this.show(null);
  }

  show(picture) {
    this.version++;
    this.#picture = picture;
    this.#strokes = [];
    this.#update();
  }

  // What is on the sheet as a canvas, black on white, in the units of the boxes.
  sheet() {
    if (this.#picture) return this.#picture;
    const sheet = new OffscreenCanvas(WIDTH, Math.round(this.#height));
    const context = sheet.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, sheet.width, sheet.height);
    this.#write(context, "#000");
    return sheet;
  }

  mark(boxes, chosen) {
    this.#boxes = boxes;
    this.#chosen = chosen;
    this.#draw();
  }

  #update() {
    this.#stroke = null;
    this.#boxes = [];
    this.#draw();
    this.#changed();
  }

  #place(event) {
    const scale = WIDTH / this.#canvas.clientWidth;
    return [event.offsetX * scale, event.offsetY * scale];
  }

  #begin(place) {
    this.#picture = null;
    const stroke = [place];
    this.#strokes.push(stroke);
    return stroke;
  }

  #down(event) {
    if (event.button) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#tip = null;
    this.#drawing.set(event.pointerId, this.#begin(this.#place(event)));
    this.#update();
  }

  #move(event) {
    const stroke = this.#drawing.get(event.pointerId);
    if (!stroke) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) stroke.push(this.#place(each));
    this.#draw();
    this.#changed();
  }

  #up(event) {
    if (this.#drawing.delete(event.pointerId)) this.#changed();
  }

  #key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (!way && event.key !== " ") return;
    event.preventDefault();
    const height = this.#height;
    this.#tip ??= [WIDTH / 2, height / 2];
    if (!way) {
      this.#stroke = this.#stroke ? null : this.#begin([...this.#tip]);
    } else {
      const inside = (value, most) => Math.min(Math.max(value, PEN), most - PEN);
      this.#tip = [inside(this.#tip[0] + way[0] * STEP, WIDTH), inside(this.#tip[1] + way[1] * STEP, height)];
      this.#stroke?.push([...this.#tip]);
    }
    this.#draw();
    if (this.#stroke) this.#changed();
  }

  #write(context, color) {
    context.strokeStyle = color;
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.#strokes) {
      context.beginPath();
      context.moveTo(...stroke[0]);
      for (let i = 1; i < stroke.length - 1; i++) { // curves through the middles between the points
        const middle = [0, 1].map((axis) => (stroke[i][axis] + stroke[i + 1][axis]) / 2);
        context.quadraticCurveTo(...stroke[i], ...middle);
      }
      context.lineTo(...stroke.at(-1));
      context.stroke();
    }
  }

  #draw() {
    const canvas = this.#canvas;
    const pixels = canvas.clientWidth * devicePixelRatio;
    if (!pixels) return;
    canvas.width = pixels;
    canvas.height = canvas.clientHeight * devicePixelRatio;
    const style = getComputedStyle(canvas);
    const context = canvas.getContext("2d");
    const scale = pixels / WIDTH;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    if (this.#picture) { // from here on in units of the picture
      const { width, height } = this.#picture;
      const fit = Math.min(WIDTH / width, this.#height / height);
      context.translate((WIDTH - width * fit) / 2, (this.#height - height * fit) / 2);
      context.scale(fit, fit);
      context.imageSmoothingEnabled = fit < 3;
      context.drawImage(this.#picture, 0, 0);
    }
    this.#write(context, style.getPropertyValue("--ink"));
    const unit = 1 / context.getTransform().a * devicePixelRatio; // a pixel of the screen
    this.#boxes.forEach(([left, top, right, bottom], number) => {
      const chosen = number === this.#chosen;
      context.strokeStyle = style.getPropertyValue(chosen ? "--accent" : "--rest");
      context.lineWidth = (chosen ? 2 : 1.5) * unit;
      context.setLineDash(chosen ? [] : [5 * unit, 5 * unit]);
      const room = 9 * unit;
      context.beginPath();
      context.roundRect(left - room, top - room, right - left + 2 * room, bottom - top + 2 * room, 8 * unit);
      context.stroke();
    });
    context.setLineDash([]);
    if (this.#tip) {
      context.beginPath();
      context.arc(...this.#tip, PEN * 0.8, 0, 7);
      context.fillStyle = context.strokeStyle = style.getPropertyValue("--accent");
      context.lineWidth = 2.5;
      if (this.#stroke) context.fill();
      else context.stroke();
    }
  }
}

// The drawing area: strokes or a picture, and the boxes of the recognised digits.
// Coordinates are in units in which the area is WIDTH wide, whatever its size on the screen.

const WIDTH = 640;
const PEN = 17; // width of a stroke
const STEP = 16; // distance per key press

export class Pad {
  #canvas;
  #changed;
  #strokes = [];
  #picture = null; // a canvas, scaled to fit
  #boxes = [];
  #selected = 0;
  #rejected = []; // boxes of ink that was not read
  version = 0; // changes when the content is replaced
  #pointers = new Map(); // current stroke by pointer
  #cursor = null; // position of the keyboard's pen
  #stroke = null; // its current stroke

  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => { this.#cursor = this.#stroke = null; this.#draw(); });
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

  // The content as a canvas, black on white, in the coordinates of the boxes.
  toCanvas() {
    if (this.#picture) return this.#picture;
    const canvas = new OffscreenCanvas(WIDTH, Math.round(this.#height));
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.#drawStrokes(context, "#000");
    return canvas;
  }

  mark(boxes, selected, rejected = []) {
    this.#boxes = boxes;
    this.#selected = selected;
    this.#rejected = rejected;
    this.#draw();
  }

  #update() {
    this.#stroke = null;
    this.#boxes = this.#rejected = [];
    this.#draw();
    this.#changed();
  }

  #position(event) {
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
    this.#cursor = null;
    this.#pointers.set(event.pointerId, this.#begin(this.#position(event)));
    this.#update();
  }

  #move(event) {
    const stroke = this.#pointers.get(event.pointerId);
    if (!stroke) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) stroke.push(this.#position(each));
    this.#draw();
    this.#changed();
  }

  #up(event) {
    if (this.#pointers.delete(event.pointerId)) this.#changed();
  }

  #key(event) {
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const direction = directions[event.key];
    if (!direction && event.key !== " ") return;
    event.preventDefault();
    const height = this.#height;
    this.#cursor ??= [WIDTH / 2, height / 2];
    if (!direction) {
      this.#stroke = this.#stroke ? null : this.#begin([...this.#cursor]);
    } else {
      const inside = (value, most) => Math.min(Math.max(value, PEN), most - PEN);
      this.#cursor = [inside(this.#cursor[0] + direction[0] * STEP, WIDTH), inside(this.#cursor[1] + direction[1] * STEP, height)];
      this.#stroke?.push([...this.#cursor]);
    }
    this.#draw();
    if (this.#stroke) this.#changed();
  }

  #drawStrokes(context, color) {
    context.strokeStyle = color;
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.#strokes) {
      context.beginPath();
      context.moveTo(...stroke[0]);
      for (let i = 1; i < stroke.length - 1; i++) { // smooth: curves through the midpoints
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
    if (this.#picture) { // from here on, coordinates are pixels of the picture
      const { width, height } = this.#picture;
      const fit = Math.min(WIDTH / width, this.#height / height);
      context.translate((WIDTH - width * fit) / 2, (this.#height - height * fit) / 2);
      context.scale(fit, fit);
      context.imageSmoothingEnabled = fit < 3;
      context.drawImage(this.#picture, 0, 0);
    }
    this.#drawStrokes(context, style.getPropertyValue("--ink"));
    const unit = 1 / context.getTransform().a * devicePixelRatio; // one pixel of the screen
    const box = ([left, top, right, bottom], color, width, dash) => {
      context.strokeStyle = style.getPropertyValue(color);
      context.lineWidth = width * unit;
      context.setLineDash(dash.map((length) => length * unit));
      const margin = 9 * unit;
      context.beginPath();
      context.roundRect(left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin, 8 * unit);
      context.stroke();
    };
    this.#rejected.forEach((sides) => box(sides, "--rest", 1, [1, 4]));
    this.#boxes.forEach((sides, number) => {
      if (number === this.#selected) box(sides, "--accent", 2, []);
      else box(sides, "--rest", 1.5, [5, 5]);
    });
    context.setLineDash([]);
    if (this.#cursor) {
      context.beginPath();
      context.arc(...this.#cursor, PEN * 0.8, 0, 7);
      context.fillStyle = context.strokeStyle = style.getPropertyValue("--accent");
      context.lineWidth = 2.5;
      if (this.#stroke) context.fill();
      else context.stroke();
    }
  }
}

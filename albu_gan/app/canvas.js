// Draws class labels on an image. The labels are kept here as numbers, one a pixel, and painted with hard edges: what
// is seen is what is sent. In: props.picture, size_hw, locked, active, palette, value. Out: props.value, event "input".
const find = (selector) => element.querySelector(selector);
const picture = find(".picture"), overlay = find(".overlay"), sheet = find(".sheet"), stage = find(".stage");
const ring = find(".ring"), sizeInput = find(".size"), context = overlay.getContext("2d");
const HISTORY = 50, ZOOMS = [1, 1.5, 2, 3, 4, 6, 8, 12, 16];
let width = 0, height = 0, labels = new Uint8Array(0), locked = null, colours = [], tool = "draw", zoom = 1, fit = 1;
let history = [], position = 0, last = null, drawing = false, cursor = null;
const applied = { picture: undefined, size: undefined, locked: undefined, value: undefined };

function encode() {
  const runs = [];
  for (let start = 0; start < labels.length; ) {
    let end = start + 1;
    while (end < labels.length && labels[end] === labels[start]) end++;
    runs.push(labels[start], end - start);
    start = end;
  }
  return JSON.stringify({ width, height, runs });
}

function decode(text) {
  const content = JSON.parse(text), result = new Uint8Array(content.width * content.height);
  let at = 0;
  for (let i = 0; i < content.runs.length; i += 2) {
    result.fill(content.runs[i], at, at + content.runs[i + 1]);
    at += content.runs[i + 1];
  }
  return result;
}

function redraw(left = 0, top = 0, right = width, bottom = height) {
  left = Math.max(0, left - 1); top = Math.max(0, top - 1);
  right = Math.min(width, right + 1); bottom = Math.min(height, bottom + 1);
  if (right <= left || bottom <= top) return;
  const data = context.createImageData(right - left, bottom - top), pixels = data.data;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const at = y * width + x, label = labels[at], out = 4 * ((y - top) * (right - left) + x - left);
      if (label) {
        const edge = x === 0 || y === 0 || x === width - 1 || y === height - 1 || labels[at - 1] !== label ||
          labels[at + 1] !== label || labels[at - width] !== label || labels[at + width] !== label;
        const colour = colours[(label - 1) % colours.length];
        pixels[out] = colour[0]; pixels[out + 1] = colour[1]; pixels[out + 2] = colour[2];
        pixels[out + 3] = edge ? 255 : 105;
      } else if (locked && locked[at]) {
        const stripe = (x + y) % 6 < 2;  // kept: hatched, so that the painted defect stays visible
        pixels[out] = pixels[out + 1] = pixels[out + 2] = 255;
        pixels[out + 3] = stripe ? 90 : 0;
      }
    }
  }
  context.putImageData(data, left, top);
}

// Set every pixel within the brush's radius of the segment from a to b (image coordinates of pixel centres).
function paintSegment(a, b) {
  const radius = Number(sizeInput.value) / 2, value = tool === "draw" ? Number(props.active) + 1 : 0;
  const left = Math.max(0, Math.floor(Math.min(a.x, b.x) - radius)), right = Math.min(width, Math.ceil(Math.max(a.x, b.x) + radius) + 1);
  const top = Math.max(0, Math.floor(Math.min(a.y, b.y) - radius)), bottom = Math.min(height, Math.ceil(Math.max(a.y, b.y) + radius) + 1);
  const dx = b.x - a.x, dy = b.y - a.y, squared = dx * dx + dy * dy;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const along = squared ? Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / squared)) : 0;
      const u = x - a.x - along * dx, v = y - a.y - along * dy;
      if (u * u + v * v <= Math.max(radius * radius, 0.5) && !(locked && locked[y * width + x])) labels[y * width + x] = value;
    }
  }
  redraw(left, top, right, bottom);
}

function buttons() {
  find('[data-do="undo"]').disabled = position <= 0;
  find('[data-do="redo"]').disabled = position >= history.length - 1;
  find('[data-do="clear"]').disabled = !labels.some((label) => label > 0);
  for (const button of element.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  const colour = colours[Number(props.active) % colours.length] || [128, 128, 128];
  find(".swatch").style.background = "rgb(" + colour.join(",") + ")";
  find(".size-text").textContent = sizeInput.value + " px";
  find(".zoom-text").textContent = Math.round(100 * fit * zoom) + "%";
}

function remember(text) {
  if (history[position] === text) return;
  history = history.slice(Math.max(0, position + 1 - HISTORY), position + 1);
  history.push(text);
  position = history.length - 1;
}

function send(text) {
  applied.value = text;
  buttons();
  props.value = text;
  trigger("input");
}

function commit() {
  const text = encode();
  if (text === history[position]) return;
  remember(text);
  send(text);
}

function step(by) {
  if (position + by < 0 || position + by >= history.length) return;
  position += by;
  labels = decode(history[position]);
  if (locked) labels.forEach((_, i) => { if (locked[i]) labels[i] = 0; });
  redraw();
  send(encode());
}

function layout() {
  if (!width) return;
  fit = Math.min((stage.clientWidth - 2) / width, (stage.clientHeight - 2) / height);
  const scale = fit * zoom;
  sheet.style.width = Math.round(width * scale) + "px";
  sheet.style.height = Math.round(height * scale) + "px";
  overlay.classList.toggle("crisp", scale >= 2);
  picture.classList.toggle("crisp", scale >= 3);
  buttons();
}

function setZoom(value, around) {
  const before = sheet.getBoundingClientRect(), box = stage.getBoundingClientRect();
  const x = around ? around.x : box.left + box.width / 2, y = around ? around.y : box.top + box.height / 2;
  const u = (x - before.left) / before.width, v = (y - before.top) / before.height;
  zoom = value;
  layout();
  const after = sheet.getBoundingClientRect();
  stage.scrollLeft += after.left + u * after.width - x;
  stage.scrollTop += after.top + v * after.height - y;
}

function zoomBy(direction, around) {
  const index = ZOOMS.indexOf(zoom) + direction;
  if (index >= 0 && index < ZOOMS.length) setZoom(ZOOMS[index], around);
}

function showRing() {
  ring.hidden = !cursor;
  if (!cursor) return;
  const scale = sheet.clientWidth / width, side = Math.max(5, Number(sizeInput.value) * scale);
  ring.style.left = (cursor.x + 0.5) * scale + "px";
  ring.style.top = (cursor.y + 0.5) * scale + "px";
  ring.style.width = ring.style.height = side + "px";
}

function point(event) {
  const box = overlay.getBoundingClientRect();
  return { x: ((event.clientX - box.left) * width) / box.width - 0.5, y: ((event.clientY - box.top) * height) / box.height - 0.5 };
}

overlay.addEventListener("pointerdown", (event) => {
  if (!width || event.button !== 0) return;
  overlay.setPointerCapture(event.pointerId);
  drawing = true;
  last = cursor = point(event);
  paintSegment(last, last);
  showRing();
});
overlay.addEventListener("pointermove", (event) => {
  cursor = point(event);
  if (drawing) {
    const moves = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const move of moves.length ? moves : [event]) {
      const next = point(move);
      paintSegment(last, next);
      last = next;
    }
  }
  showRing();
});
function lift() {
  if (!drawing) return;
  drawing = false;
  commit();
}
overlay.addEventListener("pointerup", lift);
overlay.addEventListener("pointercancel", lift);
overlay.addEventListener("pointerleave", () => { if (!drawing) { cursor = null; showRing(); } });
stage.addEventListener("wheel", (event) => {
  if (!event.ctrlKey || !width) return;
  event.preventDefault();
  zoomBy(event.deltaY < 0 ? 1 : -1, { x: event.clientX, y: event.clientY });
}, { passive: false });

const actions = {
  undo: () => step(-1), redo: () => step(1), in: () => zoomBy(1), out: () => zoomBy(-1), fit: () => setZoom(1),
  clear: () => { labels.fill(0); redraw(); commit(); },
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || button.disabled) return;
  if (button.dataset.tool) { tool = button.dataset.tool; buttons(); }
  if (button.dataset.do) actions[button.dataset.do]();
});
sizeInput.addEventListener("input", () => { buttons(); showRing(); });

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let keysDown = false;  // a line drawn by held keys is one step of the history
overlay.addEventListener("keydown", (event) => {
  if (!width) return;
  const key = event.key, control = event.ctrlKey || event.metaKey;
  if (control && key.toLowerCase() === "z") step(event.shiftKey ? 1 : -1);
  else if (control && key.toLowerCase() === "y") step(1);
  else if (control || event.altKey) return;
  else if (key in ARROWS || key === " " || key === "Enter") {
    const from = cursor || { x: Math.floor(width / 2), y: Math.floor(height / 2) };
    const stride = Math.max(1, Math.round(Number(sizeInput.value) / 2)), [dx, dy] = ARROWS[key] || [0, 0];
    cursor = { x: Math.min(width - 1, Math.max(0, from.x + dx * stride)), y: Math.min(height - 1, Math.max(0, from.y + dy * stride)) };
    if (!(key in ARROWS) || event.shiftKey) { paintSegment(from, cursor); keysDown = true; }
    showRing();
  } else if (key === "[" || key === "]") { sizeInput.value = Number(sizeInput.value) + (key === "]" ? 1 : -1); buttons(); showRing(); }
  else if (key === "d" || key === "e") { tool = key === "d" ? "draw" : "erase"; buttons(); }
  else if (key === "+" || key === "=") zoomBy(1);
  else if (key === "-") zoomBy(-1);
  else if (key === "0") setZoom(1);
  else return;
  event.preventDefault();
});
function liftKeys() { if (keysDown) { keysDown = false; commit(); } }
overlay.addEventListener("keyup", (event) => { if (!(event.key === "Shift" || event.key in ARROWS) || !event.shiftKey) liftKeys(); });
overlay.addEventListener("blur", liftKeys);

// Take over what the server changed; the rest stays as it is, with its history.
function refresh() {
  colours = (props.palette || []).map((text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16)));
  const size = JSON.stringify(props.size_hw), fresh = size !== applied.size || props.image_id !== applied.image_id;
  if (fresh && props.size_hw) {
    [height, width] = props.size_hw;
    applied.size = size;
    applied.image_id = props.image_id;
    applied.value = applied.locked = applied.picture = undefined;  // its canvas is about to be emptied
    for (const canvas of [picture, overlay]) { canvas.width = width; canvas.height = height; }
    labels = new Uint8Array(width * height);
    locked = null;
    history = []; position = 0; cursor = null; zoom = 1;
    const side = Math.min(width, height);
    sizeInput.max = Math.max(8, Math.round(side / 5));
    sizeInput.value = Math.max(3, Math.round(side / 40));
    sheet.classList.add("ready");
    find(".empty").classList.add("gone");
  }
  if (props.picture && props.picture !== applied.picture) {
    applied.picture = props.picture;
    const loaded = new Image();
    loaded.onload = () => { if (applied.picture === loaded.src) picture.getContext("2d").drawImage(loaded, 0, 0, width, height); };
    loaded.src = props.picture;
  }
  let dirty = fresh;
  if (width && props.locked !== applied.locked) {
    applied.locked = props.locked;
    locked = props.locked ? decode(props.locked) : null;
    dirty = true;
  }
  if (width && props.value && props.value !== applied.value) {
    applied.value = props.value;
    labels = decode(props.value);
    remember(props.value);
    dirty = true;
  }
  if (dirty) redraw();
  layout();
}
new ResizeObserver(layout).observe(stage);
watch(["picture", "size_hw", "image_id", "locked", "active", "palette", "value"], refresh);
refresh();

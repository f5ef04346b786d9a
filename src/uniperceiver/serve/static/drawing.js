// Boxes and masks over a picture.

const GOLDEN_RATIO = 0.618034;
const MASK_OPACITY = 115; // of 255
const SVG = "http://www.w3.org/2000/svg";

/** A colour for the n-th name, as [red, green, blue]; names that follow each other lie far apart. */
export function colourOf(number) {
  const hue = (number * GOLDEN_RATIO) % 1;
  const [saturation, value] = [number % 2 ? 0.6 : 0.85, 0.95];
  return [5, 3, 1].map((n) => {
    const k = (n + hue * 6) % 6;
    return Math.round(255 * (value - value * saturation * Math.max(0, Math.min(k, 4 - k, 1))));
  });
}

export const css = (colour) => `rgb(${colour.join(" ")})`;

/** Draws the objects of an answer of /v1/detect; `only` is one of them to point out, or null. */
export function drawObjects(masks, boxes, answer, colours, only) {
  masks.width = answer.width;
  masks.height = answer.height;
  boxes.setAttribute("viewBox", `0 0 ${answer.width} ${answer.height}`);
  boxes.setAttribute("preserveAspectRatio", "none");
  boxes.replaceChildren();
  const pixels = new ImageData(answer.width, answer.height);
  const words = new Uint32Array(pixels.data.buffer);
  for (let place = answer.objects.length - 1; place >= 0; place -= 1) {
    const object = answer.objects[place];
    const isOther = only !== null && only !== place;
    if (object.segmentation && !isOther) fillMask(words, object.segmentation, colours[place]);
    boxes.append(boxOf(object, colours[place], isOther ? "dim" : only === place ? "chosen" : ""));
  }
  masks.getContext("2d").putImageData(pixels, 0, 0);
}

export function clearObjects(masks, boxes) {
  masks.width = 0;
  boxes.replaceChildren();
}

/** The objects under a point of the picture, smallest box first. */
export function objectAt(answer, x, y) {
  const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
  const under = answer.objects
    .map((object, place) => ({ box: object.box, place }))
    .filter(({ box: [x0, y0, x1, y1] }) => x >= x0 && x <= x1 && y >= y0 && y <= y1)
    .sort((a, b) => area(a.box) - area(b.box));
  return under.length ? under[0].place : null;
}

/** COCO's run lengths go down the columns and begin with what is outside. */
function fillMask(words, { size: [height, width], counts }, [red, green, blue]) {
  const colour = ((MASK_OPACITY << 24) | (blue << 16) | (green << 8) | red) >>> 0; // canvases are little-endian
  let start = 0;
  counts.forEach((count, run) => {
    for (let index = start; run % 2 && index < start + count; index += 1) {
      words[(index % height) * width + Math.floor(index / height)] = colour;
    }
    start += count;
  });
}

function boxOf(object, colour, kind) {
  const [x0, y0, x1, y1] = object.box;
  const box = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0) })) {
    box.setAttribute(name, value);
  }
  box.setAttribute("stroke", css(colour));
  box.setAttribute("class", kind);
  return box;
}

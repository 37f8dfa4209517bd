// What lies on top of the points: lines of the chosen triplet, rings, names of groups.

const LINE_LOOKS = {
  positive: { width: 3, dash: [] },
  hard_negative: { width: 3, dash: [9, 5] },
  negative: { width: 1.5, dash: [2, 4] },
  pair: { width: 2.5, dash: [] },
  violated: { width: 1.5, dash: [], isBare: true },
};

function drawOverlay(context, scene) {
  const { width, height, ratio, colours } = scene;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.lineJoin = "round";
  for (const line of scene.lines) drawLine(context, scene, line);
  for (const [index, colour] of scene.rings) drawRing(context, scene.toScreen(index), 7, colour, colours.paper);
  if (scene.labels.length) drawLabels(context, scene);
  if (scene.crosshair) drawCrosshair(context, width / 2, height / 2, colours.ink);
}

function drawLine(context, scene, [from, to, role, colour]) {
  const look = LINE_LOOKS[role] ?? LINE_LOOKS.negative;
  const [x0, y0] = scene.toScreen(from);
  const [x1, y1] = scene.toScreen(to);
  const stroke = (style, width) => {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.setLineDash(look.dash);
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
    context.setLineDash([]);
  };
  stroke(scene.colours.paper, look.width + 2.5);
  stroke(colour, look.width);
  if (!look.isBare) drawRing(context, [x1, y1], look.width + 3, colour, scene.colours.paper);
}

function drawRing(context, [x, y], radius, colour, paper) {
  for (const [style, width] of [[paper, 5], [colour, 2.5]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
  }
}

function drawLabels(context, scene) {
  context.font = `600 13px ${scene.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const taken = [];
  for (const [x, y, text] of scene.labels) {
    const [left, top] = scene.fromData(x, y);
    const half = context.measureText(text).width / 2 + 6;
    const box = [left - half, top - 11, left + half, top + 11];
    const hits = taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1]);
    if (hits || left < 0 || top < 0 || left > scene.width || top > scene.height) continue;
    taken.push(box);
    context.lineWidth = 4;
    context.strokeStyle = scene.colours.paper;
    context.strokeText(text, left, top);
    context.fillStyle = scene.colours.ink;
    context.fillText(text, left, top);
  }
}

function drawCrosshair(context, x, y, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + 5 * dx, y + 5 * dy);
    context.lineTo(x + 13 * dx, y + 13 * dy);
  }
  context.stroke();
}

// WebGL2 drawing of many points: discs near, density far, lines of pairs below them.
// Places, colour indices and masks are buffers; moving, zooming and morphing change uniforms only.

const CELL_PIXELS = 2;

function createScene(canvas) {
  const gl = canvas.getContext("webgl2", { alpha: true, antialias: false, premultipliedAlpha: true });
  if (!gl) return null;
  gl.getExtension("EXT_color_buffer_float");
  // Half floats stop counting at 2,048 points per cell; full floats do not, where they can be blended.
  const sumFormat = gl.getExtension("EXT_float_blend") ? [gl.RGBA32F, gl.FLOAT] : [gl.RGBA16F, gl.HALF_FLOAT];
  const points = program(gl, POINT_VERTEX, POINT_FRAGMENT);
  const screen = program(gl, SCREEN_VERTEX, DENSITY_FRAGMENT);
  let lines = null;
  const pointArrays = gl.createVertexArray();
  const lineArrays = gl.createVertexArray();
  const empty = gl.createVertexArray();
  const buffers = {};
  const palette = gl.createTexture();
  const sums = { texture: gl.createTexture(), frame: gl.createFramebuffer(), width: 0, height: 0 };
  let count = 0;
  let lineCount = 0;

  function upload(arrays, name, location, data, size, type) {
    gl.bindVertexArray(arrays);
    buffers[name] ??= gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(location);
    gl.vertexAttribPointer(location, size, type, false, 0, 0);
    gl.bindVertexArray(null);
  }

  function setPlaces(from, to) {
    count = from.length / 2;
    upload(pointArrays, "from", 0, from, 2, gl.FLOAT);
    upload(pointArrays, "to", 1, to, 2, gl.FLOAT);
  }

  function setPalette(colours, hidden) {
    const texels = new Uint8Array(256 * 4);
    colours.forEach((colour, place) => texels.set([...rgb(colour), hidden.has(place) ? 0 : 255], place * 4));
    gl.bindTexture(gl.TEXTURE_2D, palette);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    }
  }

  function setLines(edges, from, to) {
    lineCount = edges.first.length;
    const ends = (places) => {
      const out = new Float32Array(lineCount * 4);
      for (let k = 0; k < lineCount; k++) {
        const i = edges.first[k] * 2;
        const j = edges.second[k] * 2;
        out[4 * k] = places[i];
        out[4 * k + 1] = places[i + 1];
        out[4 * k + 2] = places[j];
        out[4 * k + 3] = places[j + 1];
      }
      return out;
    };
    const flags = new Uint8Array(lineCount * 2);
    edges.flags.forEach((flag, k) => flags.fill(flag & 1, 2 * k, 2 * k + 2));
    upload(lineArrays, "lineFrom", 0, ends(from), 2, gl.FLOAT);
    upload(lineArrays, "lineTo", 1, ends(to), 2, gl.FLOAT);
    upload(lineArrays, "lineFlag", 2, flags, 1, gl.UNSIGNED_BYTE);
  }

  function place(target, view) {
    gl.useProgram(target.handle);
    gl.uniform2f(target.at("u_centre"), view.x, view.y);
    gl.uniform2f(target.at("u_scale"), (2 * view.zoom) / view.width, (2 * view.zoom) / view.height);
    gl.uniform1f(target.at("u_morph"), view.morph);
  }

  function drawPoints(view, density) {
    place(points, view);
    gl.uniform1f(points.at("u_size"), view.size * view.ratio);
    gl.uniform1f(points.at("u_alpha"), view.alpha);
    gl.uniform1f(points.at("u_dim"), view.dim);
    gl.uniform1f(points.at("u_density"), density ? 1 : 0);
    gl.uniform1i(points.at("u_palette"), 0);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, palette);
    gl.bindVertexArray(pointArrays);
    gl.drawArrays(gl.POINTS, 0, count);
  }

  function drawDensity(view) {
    const width = Math.max(1, Math.ceil(view.width / CELL_PIXELS));
    const height = Math.max(1, Math.ceil(view.height / CELL_PIXELS));
    gl.bindTexture(gl.TEXTURE_2D, sums.texture);
    if (sums.width !== width || sums.height !== height) {
      gl.texImage2D(gl.TEXTURE_2D, 0, sumFormat[0], width, height, 0, gl.RGBA, sumFormat[1], null);
      for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
        gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
      }
      Object.assign(sums, { width, height });
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, sums.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, sums.texture, 0);
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.blendFunc(gl.ONE, gl.ONE);
    drawPoints(view, true);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.useProgram(screen.handle);
    gl.bindTexture(gl.TEXTURE_2D, sums.texture);
    gl.uniform1i(screen.at("u_sums"), 0);
    gl.uniform1f(screen.at("u_most"), Math.max(2, view.most * CELL_PIXELS * CELL_PIXELS));
    gl.bindVertexArray(empty);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  function drawLines(view) {
    const shown = Math.min(view.lines, lineCount);
    if (!shown) return;
    lines ??= program(gl, LINE_VERTEX, LINE_FRAGMENT);
    place(lines, view);
    const opacity = Math.min(0.75, Math.max(0.12, 400 / shown));
    gl.uniform4f(lines.at("u_plain"), ...rgb(view.plain).map((v) => v / 255), opacity);
    gl.uniform4f(lines.at("u_marked"), ...rgb(view.marked).map((v) => v / 255), 0.95);
    gl.bindVertexArray(lineArrays);
    gl.drawArrays(gl.LINES, 0, shown * 2);
  }

  function draw(view) {
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.disable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    if (!count) return;
    if (view.density) drawDensity(view);
    drawLines(view);
    if (!view.density) drawPoints(view, false);
  }

  return {
    draw,
    setPlaces,
    setPalette,
    setLines,
    setColours: (indices) => upload(pointArrays, "colour", 2, indices, 1, gl.UNSIGNED_BYTE),
    setMask: (mask) => upload(pointArrays, "mask", 3, mask, 1, gl.UNSIGNED_BYTE),
    clearLines: () => { lineCount = 0; },
    // Reading a pixel waits until the drawing is done, which finish() does not do in every browser.
    finish: () => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)),
    // Browsers keep few contexts alive: give this one back as soon as the map leaves the page.
    release: () => gl.getExtension("WEBGL_lose_context")?.loseContext(),
  };
}

function program(gl, vertexText, fragmentText) {
  const handle = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertexText], [gl.FRAGMENT_SHADER, fragmentText]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(handle, shader);
  }
  gl.linkProgram(handle);
  const known = new Map();
  // Asked at first use, not here: the program is compiled while the points are read.
  const at = (name) => {
    if (!known.size && !gl.getProgramParameter(handle, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(`The map's program was refused: ${gl.getProgramInfoLog(handle)}`);
    }
    if (!known.has(name)) known.set(name, gl.getUniformLocation(handle, name));
    return known.get(name);
  };
  return { handle, at };
}

function rgb(colour) {
  return [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16));
}

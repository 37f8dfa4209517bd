// Tools, legend and the two sliders around the map.

function attachControls(map) {
  const { at, camera, model, parts, points } = map;
  const drawn = { legend: "", legendTitle: "", counted: null };

  const zoom = (factor) => () => { camera.zoomBy(factor); map.redraw(); };
  for (const [tool, button] of Object.entries(parts.tools)) button.onclick = () => map.setTool(tool);
  parts.plus.onclick = zoom(1.6);
  parts.minus.onclick = zoom(1 / 1.6);
  parts.fit.onclick = () => { camera.fit(); map.redraw(); };
  parts.density.onclick = () => { map.toggleDensity(); map.redraw(); };
  parts.png.onclick = async () => savePicture(await pngOf(map), "map.png");
  parts.svg.onclick = () => savePicture(svgOf(map), "map.svg");

  function update() {
    const { view } = model;
    parts.stage.style.height = `${view.height}px`;
    parts.overlay.setAttribute("aria-label", view.alt);
    updateLegend(view.legend);
    parts.morph.hidden = view.places.length < 2;
    if (!parts.morph.hidden) {
      Object.assign(parts.morphRange, { min: 0, max: view.places.length - 1, step: 0.01, value: at.morph });
      morphWords(view);
    }
    parts.phi.hidden = !view.phi || !points.edges;
    if (!parts.phi.hidden) {
      at.phi = Math.max(at.phi ?? view.phi.value, view.phi.floor);
      Object.assign(parts.phiRange, { min: view.phi.floor, max: 1, step: 0.005, value: at.phi });
      phiWords(view);
    }
    if (drawn.counted !== view.selected) {
      drawn.counted = view.selected;
      parts.status.textContent = `${view.selected.toLocaleString("en")} of ${view.count.toLocaleString("en")} points selected`;
    }
  }

  function updateLegend(given) {
    const key = JSON.stringify(given) + [...at.hidden];
    if (drawn.legend === key) return;
    if (drawn.legendTitle !== given.title) at.hidden.clear();
    Object.assign(drawn, { legend: key, legendTitle: given.title });
    parts.legend.replaceChildren(text("div", given.title, "title"), ...given.entries.map(legendRow));
  }

  // An entry without an index is a mark on a scale and hides nothing.
  function legendRow([label, colour, count, index]) {
    const row = element(index === null ? "div" : "button", "entry");
    row.append(Object.assign(element("span", "dot"), { style: `background:${colour}` }), text("span", label, "label"));
    if (count !== null) row.append(text("span", count.toLocaleString("en"), "count"));
    if (index === null) return row;
    const press = () => row.setAttribute("aria-pressed", String(!at.hidden.has(index)));
    Object.assign(row, { type: "button", title: "Hide or show" });
    press();
    row.onclick = () => {
      at.hidden.has(index) ? at.hidden.delete(index) : at.hidden.add(index);
      press();
      map.paint();
      map.redraw();
    };
    return row;
  }

  function morphWords(view) {
    const [low, share] = [Math.floor(at.morph), at.morph % 1];
    const between = `${view.places[low]} → ${view.places[low + 1]}, ${Math.round(100 * share)}%`;
    parts.morphText.textContent = share === 0 ? view.places[low] : between;
    parts.morphRange.setAttribute("aria-valuetext", parts.morphText.textContent);
  }

  parts.morphRange.oninput = () => {
    at.morph = Number(parts.morphRange.value);
    morphWords(model.view);
    map.tip.hover(null);
    map.redraw();
  };

  function phiWords(view) {
    const words = maskedWords(points.edges, at.phi, view.phi);
    parts.phiText.textContent = words;
    parts.phiRange.setAttribute("aria-valuetext", words);
  }

  parts.phiRange.oninput = () => {
    at.phi = Number(parts.phiRange.value);
    phiWords(model.view);
    map.redraw();
  };
  parts.phiRange.onchange = () => map.setState("phi", at.phi);

  return { update };
}

// How many pairs phi masks, and how many of them meet in one batch: a premise always meets its own hard negative, two
// other triplets meet by chance.
function maskedWords(edges, phi, { triplets, batch }) {
  const count = countAbove(edges.cosines, phi);
  let [marked, own] = [0, 0];
  for (let k = 0; k < count; k++) {
    marked += edges.flags[k] & 1;
    own += edges.flags[k] >> 1;
  }
  const others = triplets > 1 ? ((count - own) * batch * (batch - 1)) / (triplets * (triplets - 1)) : 0;
  const met = (own * batch) / triplets + others;
  const expected = met >= 10 ? Math.round(met).toLocaleString("en") : met.toFixed(1);
  const number = (value) => value.toLocaleString("en");
  const called = marked ? `; ${number(marked)} called duplicate` : "";
  return `φ = ${phi.toFixed(3)}: ${number(count)} pairs masked, ${number(own)} of them own hard negatives; about ${expected} in a batch of ${batch}${called}`;
}

// Correlations of a site as a map to point at, and the tree of its regions beside it.
// Cells are those of figures/covariance.*.csv, the tree is levels.csv.
(({ on, all, make, say, state, key, update, watch, values, header, decode, whenSeen, colour,
  visible, mount }) => {
  const { abs, max, min } = Math;
  const root = document.querySelector(".mapper");
  const maps = header("maps-data");
  if (!root || !maps?.length) return;
  const picker = root.parentElement;
  const NAMES = ["model", "dictionary", "kind", "site"];
  const stem = (map) => map.site[0] + map.site.split(".")[1];
  const named = (map, level, part) => part < 0 ? { "-1": "ungrouped", "-2": "dead" }[part]
    : level ? `${stem(map)}.${level}.${part}` : `${stem(map)}.r${part}`;
  const sites = new Map();
  for (const map of maps)
    sites.set(map.site, max(sites.get(map.site) ?? 0, map.tree.filter(([level]) => !level)
      .reduce((sum, [, , features]) => sum + features, 0)));
  key("o", { initial: "parts", read: (text) => ["parts", "index"].includes(text)
    ? text : undefined });

  // Regions inside a part of a coarser level, named like `m0.2.1`.
  const inside = (map, level, part) => level === 0 ? [part] : map.tree
    .filter(([l, , , parent]) => l === level - 1 && parent === part)
    .flatMap(([l, p]) => p < 0 ? [] : inside(map, l, p));
  const members = (name) => {
    const [, place, level, part] = /^([a-z]\d+)\.(\d+)\.(\d+)$/.exec(name) ?? [];
    if (place === undefined) return undefined;
    const fits = maps.filter((map) => stem(map) === place
      && map.tree.some(([l, p]) => l === +level && p === +part));
    const map = fits.find((one) => NAMES.every((facet) =>
      state[facet] === undefined || one[facet] === state[facet])) ?? fits[0];
    return map && inside(map, +level, +part).map((p) => named(map, 0, p));
  };

  let map = null, cells = null, order = null, ui = null, at = null;
  const value = (i, j) => {
    if (i > j) [i, j] = [j, i];
    return cells[i * map.size - i * (i - 1) / 2 + j - i] / map.steps - 1;
  };
  const single = () => map.bins.length && map.bins.every((text) => !text.includes(" "));
  const partAt = (i) => map.parts.find(([level, , start, stop]) =>
    level === 0 && i >= start && i < stop);
  const featureOf = (i) => map.bins[i] === undefined ? `bin ${i}` : map.bins[i].includes(" ")
    ? `${map.bins[i].split(" ").length} features from ${map.site}:${map.bins[i].split(" ")[0]}`
    : `${map.site}:${map.bins[i]}`;
  const told = (i, j) => {
    const region = partAt(i), other = partAt(j);
    const names = [region, other].map((part) => part ? named(map, 0, part[1]) : "no region");
    return `${featureOf(i)} (${names[0]}) and ${featureOf(j)} (${names[1]}): r = ${
      value(i, j).toFixed(2).replace("-", "\u2212")}`
      + `${map.samples ? `, over ${map.samples} ${map.of}` : ""}`;
  };
  const selected = () => new Set(state.r ? members(state.r) ?? [state.r] : []);

  const rgb = (name) => {
    const text = colour(name);
    return [1, 3, 5].map((from) => parseInt(text.slice(from, from + 2), 16));
  };
  const drawCells = () => {
    const n = map.size, image = new ImageData(n, n);
    const low = rgb("purple"), zero = rgb("paper"), high = rgb("green");
    for (let a = 0; a < n; a++)
      for (let b = 0; b < n; b++) {
        const r = max(-1, min(1, value(order[a], order[b]) / map.clip));
        const end = r < 0 ? low : high, pixel = 4 * (a * n + b);
        for (let k = 0; k < 3; k++)
          image.data[pixel + k] = zero[k] + abs(r) * (end[k] - zero[k]);
        image.data[pixel + 3] = 255;
      }
    ui.cells.width = ui.cells.height = n;
    ui.cells.getContext("2d").putImageData(image, 0, 0);
  };
  const drawTop = () => {
    const size = Math.round(ui.stage.clientWidth * min(devicePixelRatio || 1, 2));
    const scale = size / map.size, context = ui.top.getContext("2d"), chosen = selected();
    ui.top.width = ui.top.height = size;
    context.strokeStyle = colour("ink");
    if (state.o === "parts") for (const [level, part, start, stop] of map.parts) {
      if (level || part < 0) continue;
      const on = chosen.has(named(map, 0, part)), width = (stop - start) * scale;
      context.lineWidth = on ? 4 : 1;
      context.strokeRect(start * scale, start * scale, width, width);
      if (!on) continue;
      context.globalAlpha = 0.08;
      context.fillStyle = colour("ink");
      context.fillRect(0, start * scale, size, width);
      context.fillRect(start * scale, 0, width, size);
      context.globalAlpha = 1;
    }
    const feature = state.f?.startsWith(`${map.site}:`)
      ? order.indexOf(map.bins.findIndex((text) =>
        text.split(" ").includes(state.f.split(":")[1]))) : -1;
    const lines = at ? [...at] : [];
    if (feature >= 0) lines.push(feature);
    context.lineWidth = 1;
    context.setLineDash([4, 3]);
    lines.forEach((line, k) => {
      const place = (line + 0.5) * scale, both = k >= (at ? 2 : 0);
      context.beginPath();
      if (k === 0 || both) context.moveTo(0, place), context.lineTo(size, place);
      if (k === 1 || both) context.moveTo(place, 0), context.lineTo(place, size);
      context.stroke();
    });
  };
  const point = (cell) => {
    at = cell;
    ui.read.textContent = at ? told(order[at[0]], order[at[1]])
      : root.dataset.hint;
    drawTop();
  };
  const choose = (name, more = {}) => {
    const changes = { r: name, kind: map.kind, ...more };
    if (values("site").includes(map.site)) changes.site = map.site;
    const partition = Object.entries(header("explorer-data")?.kinds ?? {})
      .find(([, kind]) => kind === map.kind)?.[0];
    if (values("partition").includes(partition)) changes.partition = partition;
    update(changes, `${name ?? "no region"} selected`);
  };
  const click = () => {
    if (!at) return;
    const i = order[at[0]], part = partAt(i);
    choose(part && part[1] >= 0 ? named(map, 0, part[1]) : undefined,
      { f: single() ? `${map.site}:${map.bins[i]}` : undefined });
  };
  const tree = () => {
    const chosen = selected();
    const branch = (level, part, features) => {
      const name = named(map, level, part);
      const button = make("button", {}, make("bdi", { text:
        level && part >= 0 ? `level ${level}, part ${part}` : name }),
      make("span", { text: `${features}` }));
      button.setAttribute("aria-pressed", state.r === name || (!level && chosen.has(name)));
      if (part < 0) button.disabled = true;
      button.dataset.part = name;
      on(button, "click", () => choose(state.r === name ? undefined : name));
      const below = part < 0 ? [] : map.tree.filter(([l, , , parent]) =>
        l === level - 1 && parent === part);
      return make("li", {}, button, ...(below.length
        ? [make("ul", {}, ...below.map(([l, p, count]) => branch(l, p, count)))] : []));
    };
    const top = max(...map.tree.map(([level]) => level));
    const focused = ui.tree.contains(document.activeElement)
      && document.activeElement.dataset.part;
    ui.tree.replaceChildren(make("p", { className: "plot-name", text: "Regions, nested" }),
      make("ul", {}, ...map.tree.filter(([level]) => level === top)
        .sort((a, b) => (a[1] < 0) - (b[1] < 0) || a[1] - b[1])
        .map(([level, part, features]) => branch(level, part, features))));
    if (focused) all("button", ui.tree).find((one) => one.dataset.part === focused)?.focus();
  };
  const strongest = () => {
    if (!ui.table.open) return ui.body.replaceChildren();
    const found = [];
    for (let i = 0; i < map.size; i++) for (let j = i + 1; j < map.size; j++) found.push([i, j]);
    found.sort((a, b) => abs(value(...b)) - abs(value(...a)));
    ui.body.replaceChildren(...found.slice(0, 50).map(([i, j]) => make("tr", {},
      make("td", { text: featureOf(i) }), make("td", { text: featureOf(j) }),
      make("td", { className: "number", text: value(i, j).toFixed(2)
        .replace("-", "\u2212") }))));
  };
  const show = () => {
    const figure = picker.querySelector(":scope > figure:not([hidden])");
    const place = maps.findIndex((one) => NAMES.every((name) => one[name] === figure?.dataset[name]));
    root.hidden = place < 0;
    picker.classList.toggle("mapped", place >= 0);
    if (place < 0) return;
    if (maps[place] !== map) at = null;
    map = maps[place];
    cells = decode(`map-${place}`).r;
    order = Array.from({ length: map.size }, (_, i) => i);
    if (state.o === "index" && single())
      order.sort((a, b) => map.bins[a] - map.bins[b]);
    ui.order.parentElement.hidden = !single();
    ui.order.value = state.o;
    ui.scale.textContent = `${visible(map.site)} by ${map.kind}. Cell: ${map.cell}. Purple \u2212${
      map.clip}, green ${map.clip}; beyond, the same.`;
    drawCells();
    point(at);
    tree();
    strongest();
  };
  const build = () => {
    ui = mount(root);
    const cellAt = (event) => {
      const box = ui.top.getBoundingClientRect();
      const place = (far, length) => max(0, min(map.size - 1,
        Math.floor(far / length * map.size)));
      return [place(event.clientY - box.top, box.height), place(event.clientX - box.left, box.width)];
    };
    on(ui.top, "pointermove", (event) => point(cellAt(event)));
    on(ui.top, "pointerleave", () => point(null));
    on(ui.top, "click", (event) => { point(cellAt(event)); click(); });
    on(ui.top, "keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1],
        ArrowRight: [0, 1] }[event.key];
      if (event.key === "Escape") return update({ r: undefined, f: undefined }, "nothing selected");
      if (event.key === "Enter") return click();
      if (!step) return;
      event.preventDefault();
      point((at ?? [0, 0]).map((place, k) => (place + step[k] + map.size) % map.size));
      say(ui.read.textContent);
    });
    on(ui.order, "change", () => update({ o: ui.order.value }, ui.order.value));
    on(ui.table, "toggle", strongest);
    let width = 0;
    new ResizeObserver(() => {
      if (map && width !== ui.stage.clientWidth) drawTop();
      width = ui.stage.clientWidth;
    }).observe(ui.stage);
    on(matchMedia("(prefers-color-scheme: dark)"), "change", () => map && show());
    show();
    watch((changed) => {
      if (["r", "f", "o", ...NAMES].some((name) => changed.has(name))) show();
    });
  };
  root.hidden = false;
  Object.assign(connectome, { members, features: (site) => sites.get(site) });
  whenSeen(picker, build);
})(connectome);

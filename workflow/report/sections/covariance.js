// Correlations of a site as a map to point at, and the tree of its regions beside it.
// Cells are those of figures/covariance.*.csv, the tree is levels.csv.
(({ on, all, make, say, state, key, update, watch, values, header, decode, whenSeen, colour,
  visible, mount, csv, download, savePicture }) => {
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
  // parts.2: in the order of the regions, with those of level 2 outlined and in the tree.
  key("o", { initial: "parts", read: (text) =>
    /^(parts(\.[1-9])?|index|density)$/.test(text) ? text : undefined });

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

  // Names of the groups of a level that regions lie in, by the name of the region.
  const groups = (model, dictionary, kind, level) => {
    const found = new Map();
    for (const one of maps)
      if (one.model === model && one.dictionary === dictionary && one.kind === kind)
        for (const [l, part] of one.tree)
          if (l === level && part >= 0)
            for (const p of inside(one, l, part)) found.set(named(one, 0, p), named(one, l, part));
    return found;
  };

  // `view`: first row, first column and extent of what is looked at.
  let map = null, cells = null, order = null, ui = null, at = null, view = null, drag = null;
  const top = () => max(0, ...map.tree.map(([level]) => level));
  const cut = () => min(top(), Number(state.o.split(".")[1] ?? 0));
  const value = (i, j) => {
    if (i > j) [i, j] = [j, i];
    return cells[i * map.size - i * (i - 1) / 2 + j - i] / map.steps - 1;
  };
  const single = () => map.bins.length && map.bins.every((text) => !text.includes(" "));
  const partAt = (i) => map.parts.find(([level, , start, stop]) =>
    level === cut() && i >= start && i < stop);
  const featureOf = (i) => map.bins[i] === undefined ? `bin ${i}` : map.bins[i].includes(" ")
    ? `${map.bins[i].split(" ").length} features from ${map.site}:${map.bins[i].split(" ")[0]}`
    : `${map.site}:${map.bins[i]}`;
  const told = (i, j) => {
    const region = partAt(i), other = partAt(j);
    const names = [region, other].map((part) => part ? named(map, part[0], part[1]) : "no region");
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
    const [row, column, n] = view, image = new ImageData(n, n);
    const low = rgb("purple"), zero = rgb("paper"), high = rgb("green");
    for (let a = 0; a < n; a++)
      for (let b = 0; b < n; b++) {
        const r = max(-1, min(1, value(order[row + a], order[column + b]) / map.clip));
        const end = r < 0 ? low : high, pixel = 4 * (a * n + b);
        for (let k = 0; k < 3; k++)
          image.data[pixel + k] = zero[k] + abs(r) * (end[k] - zero[k]);
        image.data[pixel + 3] = 255;
      }
    ui.cells.width = ui.cells.height = n;
    ui.cells.getContext("2d").putImageData(image, 0, 0);
    ui.whole.hidden = n === map.size;
  };
  const drawTop = () => {
    const size = Math.round(ui.stage.clientWidth * min(devicePixelRatio || 1, 2));
    const [row, column, n] = view, scale = size / n;
    const context = ui.top.getContext("2d"), chosen = selected();
    const x = (cell) => (cell - column) * scale, y = (cell) => (cell - row) * scale;
    ui.top.width = ui.top.height = size;
    context.strokeStyle = colour("ink");
    if (state.o.startsWith("parts")) for (const [level, part, start, stop] of map.parts) {
      if (level !== cut() || part < 0) continue;
      const on = inside(map, level, part).some((p) => chosen.has(named(map, 0, p)));
      const width = (stop - start) * scale;
      context.lineWidth = on ? 4 : 1;
      context.strokeRect(x(start), y(start), width, width);
      if (!on) continue;
      context.globalAlpha = 0.08;
      context.fillStyle = colour("ink");
      context.fillRect(0, y(start), size, width);
      context.fillRect(x(start), 0, width, size);
      context.globalAlpha = 1;
    }
    const feature = state.f?.startsWith(`${map.site}:`)
      ? order.indexOf(map.bins.findIndex((text) =>
        text.split(" ").includes(state.f.split(":")[1]))) : -1;
    const line = (...ends) => {
      context.beginPath();
      context.moveTo(ends[0], ends[1]);
      context.lineTo(ends[2], ends[3]);
      context.stroke();
    };
    context.lineWidth = 1;
    context.setLineDash([4, 3]);
    for (const cell of [at?.[0], feature])
      if (cell >= 0) line(0, y(cell + 0.5), size, y(cell + 0.5));
    for (const cell of [at?.[1], feature])
      if (cell >= 0) line(x(cell + 0.5), 0, x(cell + 0.5), size);
    context.setLineDash([]);
    if (!drag?.moved) return;
    context.lineWidth = 2;
    const [a, b, extent] = brushed();
    context.strokeRect(x(b), y(a), extent * scale, extent * scale);
  };
  // The square between the cell where the pointer went down and where it is.
  const brushed = () => {
    const extent = 1 + max(...[0, 1].map((k) => abs(drag.to[k] - drag.from[k])));
    return [...[0, 1].map((k) => min(drag.from[k], drag.to[k])), extent];
  };
  const look = (wanted) => {
    const extent = max(4, min(map.size, Math.round(wanted[2])));
    view = [...[0, 1].map((k) =>
      max(0, min(map.size - extent, Math.round(wanted[k])))), min(extent, map.size)];
    drawCells();
    drawTop();
    say(`rows ${view[0] + 1} to ${view[0] + view[2]}, columns ${view[1] + 1} to ${
      view[1] + view[2]} of ${map.size}`);
  };
  const whole = () => look([0, 0, map.size]);
  const zoom = (by) => {
    const [a, b] = at ?? [view[0] + view[2] / 2, view[1] + view[2] / 2], extent = view[2] * by;
    look([a - extent / 2, b - extent / 2, extent]);
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
    choose(part && part[1] >= 0 ? named(map, part[0], part[1]) : undefined,
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
      button.classList.toggle("found", state.q !== "" && button.textContent.toLowerCase()
        .includes(state.q.toLowerCase()));
      on(button, "click", () => choose(state.r === name ? undefined : name));
      const below = part < 0 || level <= cut() ? [] : map.tree.filter(([l, , , parent]) =>
        l === level - 1 && parent === part);
      return make("li", {}, button, ...(below.length
        ? [make("ul", {}, ...below.map(([l, p, count]) => branch(l, p, count)))] : []));
    };
    const focused = ui.tree.contains(document.activeElement)
      && document.activeElement.dataset.part;
    ui.tree.replaceChildren(make("p", { className: "plot-name", text: "Regions, nested" }),
      make("ul", {}, ...map.tree.filter(([level]) => level === top())
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
    const place = maps.findIndex((one) => one.size && NAMES.every((name) => one[name] === figure?.dataset[name]));
    root.hidden = place < 0;
    picker.classList.toggle("mapped", place >= 0);
    if (place < 0) return;
    if (maps[place] !== map) at = view = null;
    map = maps[place];
    view ??= [0, 0, map.size];
    cells = decode(`map-${place}`).r;
    const option = (value, text) => make("option", { value, text });
    ui.order.replaceChildren(option("parts", "regions"), ...Array.from({ length: top() }, (_, i) =>
      option(`parts.${i + 1}`, `regions, cut at level ${i + 1}`)));
    if (single()) ui.order.append(option("index", "number of the feature"));
    if (new Set(map.density).size > 1) ui.order.append(option("density", "how often it fires"));
    const found = all("option", ui.order).find(({ value }) => value === state.o);
    ui.order.value = found ? state.o : cut() ? `parts.${cut()}` : "parts";
    order = Array.from({ length: map.size }, (_, i) => i);
    if (ui.order.value === "index") order.sort((a, b) => map.bins[a] - map.bins[b]);
    if (ui.order.value === "density") order.sort((a, b) => map.density[b] - map.density[a]);
    if (ui.search.value !== state.q) ui.search.value = state.q;
    ui.scale.textContent = `${visible(map.site)} by ${map.kind}. Cell: ${map.cell}. Purple \u2212${
      map.clip}, green ${map.clip}; beyond, the same.`;
    drawCells();
    point(at);
    tree();
    strongest();
  };
  const name = () => ["map", ...NAMES.map((facet) => map[facet])].join(".");
  const rows = () => {
    const [row, column, n] = view, found = [];
    for (let a = row; a < row + n; a++)
      for (let b = column; b < column + n; b++)
        found.push([...[a, b].map((cell) => `${map.site}:${map.bins[order[cell]]}`),
          value(order[a], order[b]).toFixed(2)]);
    return found;
  };
  const build = () => {
    ui = mount(root);
    const cellAt = (event) => {
      const box = ui.top.getBoundingClientRect();
      const place = (far, length) => max(0, min(view[2] - 1, Math.floor(far / length * view[2])));
      return [view[0] + place(event.clientY - box.top, box.height),
        view[1] + place(event.clientX - box.left, box.width)];
    };
    on(ui.top, "pointerdown", (event) => {
      drag = { from: cellAt(event), to: cellAt(event), x: event.clientX, y: event.clientY };
      ui.top.setPointerCapture(event.pointerId);
    });
    on(ui.top, "pointermove", (event) => {
      if (drag) {
        drag.to = cellAt(event);
        drag.moved ||= abs(event.clientX - drag.x) + abs(event.clientY - drag.y) > 8;
      }
      point(cellAt(event));
    });
    on(ui.top, "pointerleave", () => point(null));
    on(ui.top, "pointercancel", () => { drag = null; point(null); });
    on(ui.top, "pointerup", (event) => {
      const wanted = drag?.moved && brushed();
      drag = null;
      if (wanted) return look(wanted);
      point(cellAt(event));
      click();
    });
    on(ui.whole, "click", whole);
    on(ui.csv, "click", () => download(`${name()}.csv`,
      csv({ columns: ["row", "column", "r"], rows: rows() })));
    on(ui.png, "click", () => savePicture(`${name()}.png`, ui.cells, ui.top));
    on(ui.search, "input", () => update({ q: ui.search.value }));
    on(ui.top, "keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1],
        ArrowRight: [0, 1] }[event.key];
      if (event.key === "Escape" && view[2] < map.size) return whole();
      if (event.key === "Escape") return update({ r: undefined, f: undefined }, "nothing selected");
      if (event.key === "+") return zoom(0.5);
      if (event.key === "-") return zoom(2);
      if (event.key === "Enter") return click();
      if (!step) return;
      event.preventDefault();
      point((at ?? view).slice(0, 2).map((place, k) =>
        view[k] + (place - view[k] + step[k] + view[2]) % view[2]));
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
      if (["r", "f", "o", "q", ...NAMES].some((name) => changed.has(name))) show();
    });
  };
  root.hidden = false;
  Object.assign(connectome, { members, groups, features: (site) => sites.get(site) });
  whenSeen(picker, build);
})(connectome);

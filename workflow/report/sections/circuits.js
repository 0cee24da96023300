// The circuit explorer: a canvas of edges, one above it for what is pointed at, and lists beside.
// Everything it shows is in edge_scores.csv and roi_scores.csv.
(({ on, all, make, say, visible, state, key, update, watch, values, decode, header, whenSeen, number,
  percent, colour, csv, download, mount, node, fitting }) => {
  const { abs, max, min, round } = Math;
  const root = document.querySelector(".explorer");
  if (!root) return;
  const data = header("explorer-data");
  const known = new Set(data.groups.flatMap((group) => [...group.names, ...group.sites]));
  const means = (name) => known.has(name) || connectome.members?.(name) !== undefined;
  const digits = (most) => (text) =>
    /^\d{1,6}$/.test(text) && +text >= 1 && +text <= most ? +text : undefined;
  key("r", { read: (text) => means(text) ? text : undefined });
  key("p", { initial: [], write: (pins) => pins.map(encodeURIComponent).join(","),
    read: (text) => [...new Set(text.split(",").map(decodeURIComponent))]
      .filter(means).slice(0, 50) });
  key("t", { initial: 80, read: digits(100) });
  key("e", { read: digits(999999) });
  key("c", { read: (text) => /^(modules|[1-9])$/.test(text) ? text : undefined });
  const LINKS = ["either", "input", "output", "both"];
  key("l", { initial: "either", read: (text) => LINKS.includes(text) ? text : undefined });

  const DRAWN = 2000; // edges drawn at once unless all are asked for
  const CURVED = 3000; // more than these are straight: curves take too long
  const NEAR = 30; // pixels from the pointer
  const ratio = () => min(devicePixelRatio || 1, 2);
  const circuits = new Map();

  // Arrays of a circuit, with the edges of each node and sums over prefixes.
  const load = (at) => {
    if (circuits.has(at)) return circuits.get(at);
    const about = data.circuits[at], group = data.groups[about.group];
    const c = { ...about, ...group, ...decode(`edges-${at}`) };
    c.numberOf = new Map(c.names.map((name, node) => [name, node]));
    circuits.set(at, index(c));
    return c;
  };
  const index = (c) => {
    c.count = c.score.length;
    c.cumulative = new Float64Array(c.count + 1);
    c.edgesOf = c.names.map(() => []);
    for (let i = 0; i < c.count; i++) {
      c.cumulative[i + 1] = c.cumulative[i] + abs(c.score[i]);
      c.edgesOf[c.src[i]].push(i);
      c.edgesOf[c.dst[i]].push(i);
    }
    c.inRow = c.sites.map(() => []);
    c.row.forEach((row, node) => c.inRow[row].push(node));
    return c;
  };
  // What nodes can be collapsed to: modules, and groups of each level of the tree of regions.
  const groupsOf = (c, level) => data.kinds[c.partition]
    && connectome.groups?.(c.model, c.dictionary, data.kinds[c.partition], level);
  const foldings = (c) => {
    const found = [["", "parts"], ["modules", "modules"]];
    for (let level = 1; groupsOf(c, level)?.size; level++)
      found.push([String(level), `groups of level ${level}`]);
    return found;
  };
  // Nodes become groups, edges between two groups one: the sum of their scores, and of |score|.
  const folded = (whole, by) => {
    whole.folds ??= new Map();
    if (whole.folds.has(by)) return whole.folds.get(by);
    const above = by === "modules" ? null : groupsOf(whole, +by);
    const c = { ...whole, folds: null, names: [], row: [], share: [], features: [],
      numberOf: new Map(), slot: null, of: whole };
    const to = whole.names.map((name, node) => {
      const group = above ? above.get(name) ?? name : whole.sites[whole.row[node]];
      if (!c.numberOf.has(group)) {
        c.numberOf.set(group, c.names.push(group) - 1);
        c.row.push(whole.row[node]);
        c.share.push(0);
        c.features.push(0);
      }
      const at = c.numberOf.get(group);
      c.share[at] += whole.share[node];
      if (!/\.error$/.test(name)) c.features[at] += whole.features[node];
      return at;
    });
    whole.names.forEach((name, node) => c.numberOf.set(name, to[node]));
    const sums = new Map();
    for (let i = 0; i < whole.count; i++) {
      const src = to[whole.src[i]], dst = to[whole.dst[i]], pair = src * to.length + dst;
      const sum = sums.get(pair) ?? { src, dst, score: 0, absolute: 0 };
      sum.score += whole.score[i];
      sum.absolute += abs(whole.score[i]);
      sums.set(pair, sum);
    }
    const edges = [...sums.values()].sort((a, b) => abs(b.score) - abs(a.score));
    for (const name of ["src", "dst", "score", "absolute"])
      c[name] = edges.map((edge) => edge[name]);
    const ends = (name) => c.names.map((_, node) => edges.reduce((sum, edge) =>
      edge[name] === node ? sum + abs(edge.score) : sum, 0));
    Object.assign(c, { into: ends("dst"), out: ends("src"), edges_all: edges.length,
      total: edges.reduce((sum, edge) => sum + abs(edge.score), 0) });
    whole.folds.set(by, index(c));
    return c;
  };
  // The shortest prefix that keeps a percentage of the sum of |score|.
  const prefix = (c, wanted) => {
    let low = 0, high = c.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (c.cumulative[middle] < wanted / 100 * c.total * (1 - 1e-7)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const slotOf = (c, i) => c.slot && c.slot[i] ? ` <${" qkv"[c.slot[i]]}>` : "";

  let c = null, kept = 0, everything = false, hovered = -1, frozen = false, frame = 0, stale = true;
  let place = null, ui = null;

  const select = (node, note = true) => {
    if (node < 0) return update({ r: undefined }, "nothing selected");
    const site = c.sites[c.row[node]], changes = { r: c.names[node] };
    if (values("site").includes(site)) changes.site = site;
    if (data.kinds[c.partition] && changes.site) changes.kind = data.kinds[c.partition];
    if (state.partition !== undefined) changes.partition = c.partition;
    update(changes, note && told(node));
  };
  const pin = (node) => {
    const name = c.names[node], pins = state.p.filter((other) => other !== name);
    if (pins.length === state.p.length) pins.push(name);
    update({ p: pins.slice(-50) }, `${pins.length} pinned`);
  };
  const told = (node) => `${c.names[node]}: ${percent(c.share[node])} of the node scores`;
  const group = () => {
    const found = new Set();
    if (!state.r) return found;
    for (const name of connectome.members?.(state.r) ?? [state.r])
      if (c.numberOf.has(name)) found.add(c.numberOf.get(name));
    return found;
  };
  const chosen = () => {
    const found = group();
    for (const name of state.p) if (c.numberOf.has(name)) found.add(c.numberOf.get(name));
    if (hovered >= 0) found.add(hovered);
    return found;
  };
  // Kept edges of some nodes by the link filter; edges are in order of strength.
  const linked = (nodes) => {
    const test = { input: (i) => nodes.has(c.dst[i]), output: (i) => nodes.has(c.src[i]),
      either: () => true, both: (i) => nodes.has(c.src[i]) && nodes.has(c.dst[i]) }[state.l];
    const found = new Set();
    for (const node of nodes)
      for (const i of c.edgesOf[node]) {
        if (i >= kept) break;
        if (test(i)) found.add(i);
      }
    return [...found];
  };

  // Rows bottom-up, nodes of a row at equal distances.
  const layout = () => {
    const width = max(260, ui.stage.clientWidth);
    const height = max(300, min(760, 60 + c.sites.length * 46));
    const left = 62, right = 14, top = 22, bottom = 22;
    const x = new Float32Array(c.names.length), y = new Float32Array(c.names.length);
    const gap = (width - left - right) / max(1, ...c.inRow.map((row) => row.length));
    const line = (height - top - bottom) / max(1, c.sites.length - 1);
    c.inRow.forEach((row, at) => row.forEach((node, i) => {
      x[node] = left + (width - left - right) * (i + 0.5) / row.length;
      y[node] = height - bottom - at * line;
    }));
    place = { width, height, x, y, line, left, radius: max(1.5, min(7, gap * 0.38)) };
    for (const canvas of [ui.base, ui.top]) {
      canvas.width = width * ratio();
      canvas.height = height * ratio();
      canvas.style.height = `${height}px`;
      canvas.getContext("2d").setTransform(ratio(), 0, 0, ratio(), 0, 0);
    }
  };
  // Start, two points that an edge bends towards, and end; past others of its column it bends aside.
  const way = (i) => {
    const { x, y, line } = place, a = c.src[i], b = c.dst[i];
    const passed = abs(x[a] - x[b]) < 1 ? c.row[b] - c.row[a] - 1 : 0, aside = passed * line * 0.6;
    const bend = line * 0.6 * (passed ? passed : 1);
    return [x[a], y[a], x[a] + aside, y[a] - bend, x[b] + aside, y[b] + bend, x[b], y[b]];
  };
  // One path per class of width and sign; strongest first, so a class is a stretch of edges.
  const WIDTHS = [[0.5, 2.8], [0.15, 1.6], [0, 0.8]];
  const paths = (edges) => {
    const found = new Map();
    const most = abs(c.score[0] ?? 1) || 1, curved = edges.length <= CURVED;
    for (const i of edges) {
      const size = abs(c.score[i]) / most;
      const width = WIDTHS.find(([least]) => size >= least)[1];
      const name = `${c.score[i] < 0 ? "-" : "+"}${width}`;
      let path = found.get(name);
      if (!path) found.set(name, path = { negative: c.score[i] < 0, width, d: new Path2D() });
      const ends = way(i);
      path.d.moveTo(ends[0], ends[1]);
      if (curved) path.d.bezierCurveTo(...ends.slice(2));
      else path.d.lineTo(ends[6], ends[7]);
    }
    return [...found.values()].reverse();
  };
  const stroke = (context, edges, alpha) => {
    context.globalAlpha = alpha;
    for (const { negative, width, d } of paths(edges)) {
      context.strokeStyle = colour(negative ? "vermillion" : "blue");
      context.lineWidth = width;
      context.setLineDash(negative && edges.length <= DRAWN ? [5, 3] : []);
      context.stroke(d);
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
  };
  const drawnEdges = () => min(kept, everything ? Infinity : DRAWN);
  const disc = (context, node, radius, fill, line) => {
    context.beginPath();
    if (/\.error$/.test(c.names[node])) {
      context.moveTo(place.x[node], place.y[node] - radius * 1.3);
      for (const [a, b] of [[1.3, 0], [0, 1.3], [-1.3, 0]])
        context.lineTo(place.x[node] + a * radius, place.y[node] + b * radius);
      context.closePath();
    } else if (c.row[node] === 0 || c.row[node] === c.sites.length - 1)
      context.rect(place.x[node] - radius, place.y[node] - radius, 2 * radius, 2 * radius);
    else context.arc(place.x[node], place.y[node], radius, 0, 7);
    context.fillStyle = fill;
    context.fill();
    context.strokeStyle = line;
    context.lineWidth = radius > 2 ? 1.2 : 0.5;
    context.stroke();
  };
  const label = (context, text, x, y, align = "center") => {
    context.textAlign = align;
    const half = context.measureText(text).width / 2;
    if (align === "center") x = min(max(x, half + 2), place.width - half - 2);
    context.lineWidth = 3;
    context.strokeStyle = colour("paper");
    context.strokeText(text, x, y);
    context.fillStyle = colour("ink");
    context.fillText(text, x, y);
  };
  const drawSites = (context) => {
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = colour("muted");
    context.textBaseline = "middle";
    context.textAlign = "left";
    const step = Math.ceil(15 / place.line);
    c.sites.forEach((site, row) => {
      const end = row === 0 || row === c.sites.length - 1;
      if (end || (row % step === 0 && c.sites.length - 1 - row >= step))
        context.fillText(site, 2, place.height - 22 - row * place.line);
    });
  };
  const drawBase = () => {
    const context = ui.base.getContext("2d");
    context.clearRect(0, 0, place.width, place.height);
    const band = colour("band"), muted = colour("muted"), ink = colour("ink");
    const edges = Array.from({ length: drawnEdges() }, (_, i) => i);
    stroke(context, edges, edges.length > 300 ? 0.5 : 0.75);
    const used = new Uint8Array(c.names.length);
    for (let i = 0; i < kept; i++) used[c.src[i]] = used[c.dst[i]] = 1;
    c.names.forEach((_, node) =>
      disc(context, node, place.radius, used[node] ? muted : band, used[node] ? ink : muted));
  };
  const drawTop = () => {
    const context = ui.top.getContext("2d");
    context.clearRect(0, 0, place.width, place.height);
    drawSites(context);
    context.font = "600 12px system-ui, sans-serif";
    const nodes = chosen(), words = state.q.toLowerCase();
    ui.stage.classList.toggle("dim", nodes.size > 0);
    if (nodes.size) {
      const edges = linked(nodes);
      stroke(context, edges.slice(0, DRAWN), 1);
      for (const i of edges.slice(0, DRAWN))
        for (const node of [c.src[i], c.dst[i]])
          disc(context, node, place.radius, colour("sky"), colour("ink"));
    }
    if (words) c.names.forEach((name, node) => {
      if (name.toLowerCase().includes(words))
        disc(context, node, place.radius + 2, colour("orange"), colour("ink"));
    });
    for (const node of nodes) {
      disc(context, node, place.radius + 2.5, colour("ink"), colour("paper"));
      if (nodes.size <= 12)
        label(context, c.names[node], place.x[node],
          place.y[node] + (place.y[node] < 40 ? 1 : -1) * (place.radius + 11));
    }
  };
  const draw = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      if (!place) layout();
      if (stale) drawBase();
      stale = false;
      drawTop();
    });
  };

  const nearest = (event) => {
    const box = ui.top.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    const middle = round((place.height - 22 - py) / place.line);
    let best = -1, least = NEAR ** 2;
    for (let row = middle - 1; row <= middle + 1; row++)
      for (const node of c.inRow[row] ?? []) {
        const far = (place.x[node] - px) ** 2 + (place.y[node] - py) ** 2;
        if (far < least) [best, least] = [node, far];
      }
    return best;
  };
  const hover = (node) => {
    if (node === hovered) return;
    hovered = node;
    ui.tip.hidden = node < 0;
    if (node >= 0) {
      const strongest = c.edgesOf[node].find((i) => i < kept && c.dst[i] === node);
      const lines = [c.names[node], `${c.sites[c.row[node]]}, ${c.features[node]} features`];
      if (Number.isFinite(c.share[node])) lines.push(`${percent(c.share[node])} of node scores`);
      if (strongest !== undefined) lines.push(`most from ${c.names[c.src[strongest]]}: ${
        percent(abs(c.score[strongest]) / c.into[node])} of inputs`);
      if (strongest !== undefined && c.of) lines.push(`sum ${number(c.score[strongest])}, of |score| ${
        number(c.absolute[strongest])}`);
      ui.tip.replaceChildren(...lines.map((text) => make("span", { text: visible(text) })));
      ui.tip.style.left = `${max(0, min(place.x[node] + 14, place.width - 210))}px`;
      ui.tip.style.top = `${max(0, min(place.y[node] + 14, place.height - ui.tip.offsetHeight - 4))}px`;
    }
    draw();
  };

  // Inputs or outputs of a node, positive then negative, by share.
  const listed = (node, inputs) => c.edgesOf[node]
    .filter((i) => i < kept && (inputs ? c.dst : c.src)[i] === node)
    .sort((a, b) => (c.score[a] < 0) - (c.score[b] < 0) || a - b);
  const LISTED = 10;
  const list = (node, inputs) => {
    const edges = listed(node, inputs), of = inputs ? c.into[node] : c.out[node];
    const box = make("div", {}, make("h4", { text: inputs ? "Inputs" : "Outputs" }));
    const shown = [...edges.filter((i) => c.score[i] >= 0).slice(0, LISTED),
      ...edges.filter((i) => c.score[i] < 0).slice(0, LISTED)];
    const items = shown.map((i) => {
      const other = (inputs ? c.src : c.dst)[i];
      const button = make("button", {},
        make("bdi", { text: visible(c.names[other]) + slotOf(c, i) }),
        make("span", { text: number(c.score[i]) }),
        make("span", { text: percent(abs(c.score[i]) / of) }));
      button.dataset.edge = i;
      on(button, "click", () => select(other));
      return make("li", {}, button);
    });
    box.append(items.length ? make("ol", { className: "ends" }, ...items)
      : make("p", { className: "hint", text: "none among the edges kept" }));
    if (edges.length > shown.length) box.append(make("p", { className: "hint",
      text: `and ${edges.length - shown.length} weaker ones, in the table below` }));
    return box;
  };
  const showSide = () => {
    const nodes = [...group()];
    const parts = [];
    if (nodes.length === 1) {
      const [node] = nodes, pinned = state.p.includes(c.names[node]);
      const button = make("button", { text: pinned ? "Unpin" : "Pin" });
      on(button, "click", () => pin(node));
      parts.push(make("h4", {}, make("bdi", { text: visible(c.names[node]) }), " ", button),
        make("p", { className: "hint", text: `${c.sites[c.row[node]]}, ${
          c.features[node]} features; ${percent(c.share[node])} of the node scores` }),
        list(node, true), list(node, false));
    } else parts.push(make("p", { className: "hint", text: nodes.length
      ? `${nodes.length} regions of one group are selected.`
      : ui.side.dataset.hint }));
    if (state.p.length) parts.push(make("p", { className: "hint",
      text: `Pinned: ${state.p.map((name) => visible(name)).join(", ")}` }));
    ui.side.replaceChildren(...parts);
  };

  const ROWS = 50;
  const columns = ["rank", "from", "to", "score", "cumulative", "of inputs", "of outputs"];
  const heads = () => c.of ? [...columns, "sum of |score|"] : columns;
  const edgeRow = (i) => [String(i + 1), c.names[c.src[i]], c.names[c.dst[i]] + slotOf(c, i),
    number(c.score[i]), percent(c.cumulative[i + 1] / c.total),
    percent(abs(c.score[i]) / c.into[c.dst[i]]),
    percent(abs(c.score[i]) / c.out[c.src[i]]), ...(c.of ? [number(c.absolute[i])] : [])];
  let rows = ROWS;
  const shownEdges = () => {
    const nodes = group();
    for (const name of state.p) if (c.numberOf.has(name)) nodes.add(c.numberOf.get(name));
    return nodes.size ? linked(nodes).sort((a, b) => a - b)
      : Array.from({ length: kept }, (_, i) => i);
  };
  const showTable = () => {
    if (!ui.table.open) return ui.body.replaceChildren();
    ui.head.replaceChildren(...heads().map((text, at) =>
      make("th", { text, scope: "col", className: at > 2 ? "number" : "" })));
    const edges = shownEdges();
    ui.body.replaceChildren(...edges.slice(0, rows).map((i) => make("tr", {},
      ...edgeRow(i).map((text, at) => make("td", { text: visible(text),
        className: at > 2 ? "number" : "" })))));
    ui.more.hidden = edges.length <= rows;
  };

  const evaluated = () => c.of ? ` Each is the sum of the edges between two ${
    state.c === "modules" ? "modules" : "groups"}${c.of.count < c.of.edges_all
    ? `, of the ${c.of.count} strongest that the page holds` : ""}.` : connectome.evaluated?.(c, kept);
  const show = (changed) => {
    const [wanted] = fitting(data.circuits, ["model", "dictionary", "task", "partition"]);
    if (!wanted) return;
    const parts = load(data.circuits.indexOf(wanted)), choices = foldings(parts);
    const by = choices.some(([value]) => value === state.c) ? state.c : "";
    const next = by ? folded(parts, by) : parts;
    if (next !== c) {
      c = next;
      place = null;
      hovered = -1;
      rows = ROWS;
    }
    kept = state.e === undefined ? prefix(c, state.t) : min(state.e, c.count);
    stale = true;
    const share = c.cumulative[kept] / c.total;
    ui.percent.value = state.e === undefined ? state.t : round(100 * share);
    ui.count.max = c.count;
    ui.count.value = kept;
    ui.all.parentElement.hidden = kept <= DRAWN;
    ui.filter.value = state.l;
    ui.fold.replaceChildren(...choices.map(([value, text]) => make("option", { value, text })));
    ui.fold.value = by;
    if (ui.search.value !== state.q) ui.search.value = state.q;
    ui.title.textContent = visible([c.model, c.dictionary, c.task, c.partition].join(", "));
    const drawn = drawnEdges();
    ui.facts.textContent = `${kept} of ${c.edges_all} edges keep ${percent(share)} of the sum of `
      + `|score|${drawn < kept ? `; the ${drawn} strongest are drawn` : ""}`
      + `${c.count < c.edges_all ? `; the page holds the ${c.count} strongest` : ""}.`
      + `${evaluated() ?? ""}`;
    showSide();
    showTable();
    draw();
  };

  // Arrows: up to what it writes to, down to what it reads from, sideways among its like.
  let track = null;
  const press = (event) => {
    const name = event.key;
    if (name === "Escape") return clear();
    if (name === "Shift") frozen = true;
    const [node] = group();
    if ((name === "p" || name === "P") && node !== undefined) return pin(node);
    if (!name.startsWith("Arrow")) return;
    event.preventDefault();
    if (node === undefined) return select(0);
    if (name === "ArrowUp" || name === "ArrowDown") {
      const inputs = name === "ArrowDown";
      const others = listed(node, inputs).sort((a, b) => a - b)
        .map((i) => (inputs ? c.src : c.dst)[i]);
      track = [...new Set(others)];
    } else if (!track?.includes(node)) track = c.inRow[c.row[node]];
    if (!track.length) return say("no edge there among those kept");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[name];
    select(step ? track[(track.indexOf(node) + step + track.length) % track.length] : track[0]);
  };
  const clear = () => {
    hover(-1);
    update({ r: undefined, f: undefined, p: [], q: "" }, "selection cleared");
  };

  const svg = () => {
    const { width, height, x, y, radius } = place, nodes = chosen();
    const picture = node("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
    picture.append(node("title", {}, ui.title.textContent),
      node("rect", { width, height, fill: colour("paper") }));
    const edges = nodes.size ? linked(nodes).slice(0, DRAWN)
      : Array.from({ length: drawnEdges() }, (_, i) => i);
    const most = abs(c.score[0] ?? 1) || 1;
    for (const i of edges) {
      const negative = c.score[i] < 0, [x0, y0, ...bend] = way(i).map((far) => far.toFixed(1));
      picture.append(node("path", { fill: "none", opacity: 0.7,
        d: `M${x0} ${y0}C${bend.join(" ")}`,
        stroke: colour(negative ? "vermillion" : "blue"),
        ...(negative ? { "stroke-dasharray": "5 3" } : {}),
        "stroke-width": WIDTHS.find(([least]) => abs(c.score[i]) / most >= least)[1] }));
    }
    const ends = new Set(nodes.size ? [...nodes, ...edges.flatMap((i) => [c.src[i], c.dst[i]])]
      : c.names.keys());
    for (const at of ends) {
      const dot = node("circle", { cx: x[at].toFixed(1), cy: y[at].toFixed(1), r: radius,
        fill: colour(nodes.has(at) ? "ink" : "sky"), stroke: colour("ink") });
      dot.append(node("title", {}, visible(c.names[at])));
      picture.append(dot);
      if (nodes.size && ends.size <= 40) picture.append(node("text", { x: x[at], fill: colour("ink"),
        y: y[at] - radius - 4, "text-anchor": "middle", "font-size": 11,
        "font-family": "sans-serif" }, visible(c.names[at])));
    }
    return new XMLSerializer().serializeToString(picture);
  };
  const stem = () => ["circuit", c.model, c.dictionary, c.task, c.partition,
    ...(c.of ? [state.c] : [])].join(".");

  const build = () => {
    ui = mount(root);
    ui.filter.append(...LINKS.map((value) => make("option", { value, text: value })));
    const exact = (i) => [String(i + 1), c.names[c.src[i]], c.names[c.dst[i]] + slotOf(c, i),
      c.score[i], c.cumulative[i + 1] / c.total, abs(c.score[i]) / c.into[c.dst[i]],
      abs(c.score[i]) / c.out[c.src[i]], ...(c.of ? [c.absolute[i]] : [])].map(String);
    const click = (button, call) => on(button, "click", call);
    click(ui.more, () => { rows += 4 * ROWS; showTable(); });
    click(ui.clear, clear);
    click(ui.svg, () => download(`${stem()}.svg`, svg()));
    click(ui.csv, () => download(`${stem()}.csv`,
      csv({ columns: heads(), rows: shownEdges().map(exact) })));
    click(ui.pins, () => download(`${stem()}.pins.json`, JSON.stringify({ model: c.model,
      dictionary: c.dictionary, task: c.task, partition: c.partition, collapsed: state.c ?? null,
      edges: kept, selected: state.r ?? null, pins: state.p,
      scores: shownEdges().map((i) => ({ src: c.names[c.src[i]], dst: c.names[c.dst[i]],
        score: c.score[i] })) })));
    on(ui.percent, "input", () => update({ t: +ui.percent.value, e: undefined }));
    on(ui.count, "input", () => update({ e: +ui.count.value, t: 80 }));
    for (const slider of [ui.percent, ui.count])
      on(slider, "change", () => say(ui.facts.textContent));
    on(ui.fold, "change", () => update({ c: ui.fold.value || undefined, e: undefined, p: [] },
      ui.fold.selectedOptions[0].textContent));
    on(ui.filter, "change", () => update({ l: ui.filter.value }, ui.filter.value));
    on(ui.search, "input", () => update({ q: ui.search.value }));
    on(ui.all, "change", () => { everything = ui.all.checked; show(); });
    on(ui.table, "toggle", showTable);
    on(ui.top, "pointermove", (event) => {
      if (!frozen) hover(nearest(event));
    });
    on(ui.top, "pointerleave", () => { if (!frozen) hover(-1); });
    on(ui.top, "click", (event) => {
      const node = nearest(event);
      if (node >= 0 && (event.ctrlKey || event.metaKey)) pin(node);
      else select(node);
    });
    on(ui.top, "keydown", press);
    addEventListener("keyup", (event) => { if (event.key === "Shift") frozen = false; });
    const again = () => { place = null; stale = true; draw(); };
    let width = 0;
    new ResizeObserver(() => {
      if (width !== ui.stage.clientWidth) again();
      width = ui.stage.clientWidth;
    }).observe(ui.stage);
    on(matchMedia("(prefers-color-scheme: dark)"), "change", again);
    show();
    watch(show);
  };
  root.hidden = false;
  whenSeen(root, build);
  Object.assign(connectome, { shownCircuit: () => c && { names: [c.model, c.dictionary, c.task,
    c.partition], kept, selected: [...group()].map((node) => c.names[node]) },
  position: (name) => place && c.numberOf.has(name) && [place.x[c.numberOf.get(name)],
    place.y[c.numberOf.get(name)]] });
})(connectome);

// Cards follow the selection of a region or a feature, and set it.
(({ on, all, state, update, watch, key, values }) => {
  key("f", { read: (text) => {
    const [, site, index] = /^([\w.]+):(\d{1,6})$/.exec(text) ?? [];
    return values("site").includes(site) && (connectome.features?.(site) ?? 0) > +index
      ? text : undefined;
  } });
  const show = (changed) => {
    if (!["r", "f", "site", "kind"].some((name) => changed.has(name))) return;
    for (const card of all(".card[data-part], .card[data-feature]")) {
      const chosen = card.dataset.part ? card.dataset.part === state.r
        && (state.kind === undefined || state.kind === card.dataset.of)
        : card.dataset.feature === state.f;
      if (chosen && !card.matches(".chosen")) card.open = true;
      card.classList.toggle("chosen", chosen);
    }
  };
  on(document, "click", (event) => {
    const card = event.target.closest?.(".card > summary")?.parentElement;
    if (!card || card.open) return;
    const { site } = card.closest("figure").dataset;
    const name = card.dataset.part ?? card.dataset.feature;
    if (!name) return;
    event.preventDefault(); // opened here: what is selected opens, and would be closed again
    card.open = true;
    const place = values("site").includes(site) ? { site } : {};
    if (card.dataset.part) update({ r: name, ...place, kind: card.dataset.of }, `${name} selected`);
    else update({ f: name, ...place }, `${name} selected`);
  });
  watch(show);
})(connectome);

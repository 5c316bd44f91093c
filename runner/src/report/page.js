// Draws the plots of the page. Each figure is JSON in a script element, made by the report's writer; colours of
// text and grid come from the style sheet, so that plots follow the light or dark scheme.
(() => {
  "use strict";

  const CONFIG = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  };
  const FEW_HOSTS = 12;
  // Half of a sheet of A4 in CSS pixels: a plot does not learn the width of the paper by itself.
  const PRINT_WIDTH_PX = 300;
  const plots = [...document.querySelectorAll(".plot")];
  const drawn = new Set();
  let repetition = "0";
  let printing = false;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function figureOf(plot) {
    const { figure, driver, metric } = plot.dataset;
    const element = document.getElementById(figure ?? `time-${driver}-${repetition}-${metric}`);
    return element ? JSON.parse(element.textContent) : { message: "This driver did not run this repetition." };
  }

  function themed(layout) {
    const axis = { gridcolor: css("--grid"), linecolor: css("--line"), zerolinecolor: css("--line") };
    return {
      ...layout,
      ...(printing ? { width: PRINT_WIDTH_PX } : {}),
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: css("--muted"), size: 12, family: getComputedStyle(document.body).fontFamily },
      hoverlabel: {
        bgcolor: css("--surface"), bordercolor: css("--line"), namelength: -1,
        font: { color: css("--text"), size: 12 },
      },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--muted"), activecolor: css("--text") },
      xaxis: { ...axis, spikecolor: css("--muted"), spikethickness: 1, spikedash: "dot", ...layout.xaxis },
      yaxis: { ...axis, ...layout.yaxis },
    };
  }

  // Marks of single values take the colour of text, lines keep their own.
  function coloured(trace) {
    if (trace.mode === "markers" && !trace.line) {
      trace.marker = { ...trace.marker, color: css("--surface"), line: { color: css("--text"), width: 1.5 } };
    }
    return trace;
  }

  function draw(plot) {
    drawn.add(plot);
    const { data, layout, message } = figureOf(plot);
    plot.classList.toggle("empty", Boolean(message));
    if (message) {
      Plotly.purge(plot);
      plot.textContent = message;
      return;
    }
    if (!plot.classList.contains("js-plotly-plot")) plot.textContent = "";
    const hidden = hiddenIn(plot.closest(".panel"));
    for (const trace of data) {
      coloured(trace);
      if (hidden.has(trace.meta)) trace.visible = false;
    }
    const displayModeBar = plot.classList.contains("bars") ? false : "hover";
    Plotly.react(plot, data, themed(layout), { ...CONFIG, displayModeBar });
    if (plot.dataset.metric) {
      showLegend(plot, data);
      followZoom(plot);
    }
  }

  // One legend for the plots of a driver: a button for each host.
  const hiddenHosts = new Map();
  function hiddenIn(panel) {
    if (!hiddenHosts.has(panel)) hiddenHosts.set(panel, new Set());
    return hiddenHosts.get(panel);
  }

  function showLegend(plot, data) {
    const panel = plot.closest(".panel");
    const legend = panel.querySelector(".legend");
    if (legend.dataset.repetition === repetition && legend.dataset.hosts >= data.length) return;
    legend.dataset.repetition = repetition;
    legend.dataset.hosts = data.length;
    const buttons = data.map((trace) => {
      const button = legendButton(panel, [trace.meta], trace.meta);
      button.prepend(swatch(trace.line));
      return button;
    });
    // With many hosts, whole groups can be hidden.
    if (data.length > FEW_HOSTS) {
      for (const role of ["server", "client"]) {
        const names = data.filter((trace) => trace.legendgroup === role).map((trace) => trace.meta);
        if (names.length > 1) buttons.unshift(legendButton(panel, names, `all ${names.length} ${role}s`));
      }
    }
    legend.replaceChildren(...buttons);
    pressButtons(panel);
  }

  function legendButton(panel, names, label) {
    const button = document.createElement("button");
    button.type = "button";
    button.names = names;
    button.append(label);
    button.addEventListener("click", () => {
      const hidden = hiddenIn(panel);
      const hide = names.some((name) => !hidden.has(name));
      names.forEach((name) => (hide ? hidden.add(name) : hidden.delete(name)));
      pressButtons(panel);
      panel.querySelectorAll(".js-plotly-plot").forEach((plot) => {
        const indexes = plot.data.flatMap((trace, index) => (names.includes(trace.meta) ? [index] : []));
        if (indexes.length > 0) Plotly.restyle(plot, { visible: !hide }, indexes);
      });
    });
    return button;
  }

  function pressButtons(panel) {
    const hidden = hiddenIn(panel);
    panel.querySelectorAll(".legend button").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.names.some((name) => !hidden.has(name))));
    });
  }

  function swatch(line) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    svg.setAttribute("width", 22);
    svg.setAttribute("height", 6);
    path.setAttribute("d", "M0 3H22");
    path.setAttribute("stroke", line.color);
    path.setAttribute("stroke-width", 3);
    path.setAttribute("stroke-dasharray", { dash: "6 3", dot: "2 3", dashdot: "6 2 2 2" }[line.dash] ?? "none");
    svg.append(path);
    return svg;
  }

  // Zooming into one plot of a driver zooms the others to the same time.
  let following = false;
  function followZoom(plot) {
    if (plot.dataset.follows) return;
    plot.dataset.follows = "yes";
    plot.on("plotly_relayout", async (change) => {
      const zoomed = "xaxis.range[0]" in change;
      if (following || !(zoomed || change["xaxis.autorange"])) return;
      following = true;
      const range = zoomed
        ? { "xaxis.range": [change["xaxis.range[0]"], change["xaxis.range[1]"]] }
        : { "xaxis.autorange": true };
      const others = [...plot.closest(".panel").querySelectorAll(".js-plotly-plot")].filter((p) => p !== plot);
      await Promise.allSettled(others.map((other) => Plotly.relayout(other, range)));
      following = false;
    });
  }

  // A plot is drawn when it comes near the screen: a run of many hosts has more of them than anyone looks at.
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "400px" });
  plots.forEach((plot) => observer.observe(plot));

  document.getElementById("repetition")?.addEventListener("change", (event) => {
    repetition = event.target.value;
    document.querySelectorAll("[data-repetition]:not(.legend)").forEach((element) => {
      element.hidden = element.dataset.repetition !== repetition;
    });
    [...drawn].filter((plot) => plot.dataset.metric).forEach(draw);
  });

  const redraw = () => drawn.forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const setPrinting = (value) => {
    printing = value;
    document.documentElement.classList.toggle("printing", value);
  };
  addEventListener("beforeprint", () => {
    setPrinting(true);
    plots.forEach(draw);
  });
  addEventListener("afterprint", () => {
    setPrinting(false);
    redraw();
  });
})();

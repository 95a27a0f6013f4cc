(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = colour => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
      .map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  };
  const ratio = (a, b) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05);
  const style = e => getComputedStyle(e);
  const ground = e => {
    while (e && style(e).backgroundColor === "rgba(0, 0, 0, 0)") e = e.parentElement;
    return style(e ?? document.documentElement).backgroundColor;
  };
  const text = [...document.querySelectorAll("main p, main td, main th button, main b, main h2, main dt, main .soft, figcaption")]
    .filter(e => e.textContent && e.checkVisibility()).map(e => [ratio(style(e).color, ground(e)), e.textContent]);
  const frames = [...document.querySelectorAll("#flame g.frame")]
    .map(g => [ratio(style(g.querySelector("rect")).fill, style(g.querySelector("div")).color), g.textContent]);
  return [...text, ...frames].sort((a, b) => a[0] - b[0])[0];
})()

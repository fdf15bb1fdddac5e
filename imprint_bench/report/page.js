// The list of contents is closed where it would fill the screen, and commands can be copied.
{
  const contents = document.querySelector("nav details");
  const narrow = matchMedia("(max-width: 1179px)");
  const fit = () => { contents.open = !narrow.matches; };
  narrow.addEventListener("change", fit);
  fit();
  contents.addEventListener("click", ({ target }) => { if (target.matches("a")) fit(); });
  for (const box of document.querySelectorAll(".again")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const text = box.querySelector("pre");
      getSelection().selectAllChildren(text);
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Selected";
      }
    });
    box.append(button);
  }
}

// On a narrow screen the tabs scroll sideways: begin with the one that is open in sight.

document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

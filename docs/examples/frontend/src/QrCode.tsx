// A link as a QR code. The API creates it; none of it is inserted into the page as HTML.

import type { ReactNode } from "react";
import type { QrLink } from "./types.ts";

const PNG = "data:image/png;base64,";

export function QrCode({ code, label }: { code: QrLink; label: string }): ReactNode {
  // An <img> executes nothing, whatever it contains. The prefix check rules out external URLs.
  const image = code.qrPng.startsWith(PNG) ? code.qrPng : undefined;
  return (
    <figure>
      {image && <img src={image} alt={`QR code of ${code.link}`} width={256} height={256} />}
      <figcaption>
        {label}: <a href={code.link} rel="noreferrer">{code.link}</a>
        {image && <> (<a href={image} download="instagram-qr.png">save the picture</a>)</>}
      </figcaption>
    </figure>
  );
}

// A link as a QR code. The API draws the picture, and serves it without a token; none of it is inserted into the page as HTML.

import type { ReactNode } from "react";

export interface QrCodeProps {
  /** Where it leads, and the address of the picture, as `links` of the connection has them. */
  link: string;
  image: string;
  label: string;
}

export function QrCode({ link, image, label }: QrCodeProps): ReactNode {
  return (
    <figure>
      <img src={image} alt={`QR code of ${link}`} width={256} height={256} />
      <figcaption>
        {label}: <a href={link} rel="noreferrer">{link}</a> (
        <a href={`${image}&format=png&size=1024`} target="_blank" rel="noreferrer">as PNG, to print</a>)
      </figcaption>
    </figure>
  );
}

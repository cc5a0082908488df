// A link as a QR code. The API creates the picture; none of it is inserted into the page as HTML.

import { useEffect, useState, type ReactNode } from "react";
import { useDmrelay } from "dmrelay-client/react";

export interface QrCodeProps {
  /** Where it leads, as `links` of the connection has it. */
  link: string;
  to: "direct_message" | "profile";
  label: string;
  connectionId?: string | undefined;
}

export function QrCode({ link, to, label, connectionId }: QrCodeProps): ReactNode {
  const { client } = useDmrelay();
  const [image, setImage] = useState<string>();
  useEffect(() => {
    const ended = new AbortController();
    let url: string | undefined;
    client.qrCode({ link: to, format: "png", connectionId }, ended.signal).then(
      // An <img> executes nothing, whatever it contains.
      (picture) => setImage((url = URL.createObjectURL(picture))),
      () => setImage(undefined),
    );
    return () => {
      ended.abort();
      if (url) URL.revokeObjectURL(url);
    };
  }, [client, connectionId, to]);
  return <Picture link={link} label={label} image={image} />;
}

export function Picture({ link, label, image }: { link: string; label: string; image: string | undefined }): ReactNode {
  return (
    <figure>
      {image && <img src={image} alt={`QR code of ${link}`} width={256} height={256} />}
      <figcaption>
        {label}: <a href={link} rel="noreferrer">{link}</a>
        {image && <> (<a href={image} download="instagram-qr.png">save the picture</a>)</>}
      </figcaption>
    </figure>
  );
}

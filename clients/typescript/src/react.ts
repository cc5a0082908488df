// Hooks for React, around one client and one stream of live events.

export { Dmrelay, useDmrelay, useRefresh, type Listener, type LiveState } from "./Dmrelay.tsx";
export { useChats } from "./useChats.ts";
export { useConnection, type ConnectionState, type Status } from "./useConnection.ts";
export { usePages, type Change, type Load, type Pages } from "./usePages.ts";
export { useSettled } from "./useSettled.ts";
export { useThread, type Thread } from "./useThread.ts";

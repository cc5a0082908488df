"""What a backend does, through the client that openapi-python-client generated: argv[1] is the folder it is in, argv[2] is JSON with
the address, a key, the subaccount, the agent and a customer who has written. Prints what was seen as JSON."""

import json
import sys

sys.path.insert(0, sys.argv[1])
told = json.loads(sys.argv[2])

from dmrelay_client import AuthenticatedClient  # noqa: E402
from dmrelay_client.api.connection import get_qr_code  # noqa: E402
from dmrelay_client.api.history import list_chats, list_messages  # noqa: E402
from dmrelay_client.api.takeover import release_chat, send_message, take_over_chat  # noqa: E402
from dmrelay_client.models import Send, TakeOver  # noqa: E402

client = AuthenticatedClient(base_url=told["url"], token=told["key"], raise_on_unexpected_status=True)
place = {"client": client, "subaccount_id": told["subaccountId"], "agent_id": told["agentId"]}

chats = list_chats.sync(**place, instagram_user_id=told["customer"])
chat = chats.items[0]
assert chat.can_send.allowed, chat

# Bodies that may be left out are left out, or given.
assert take_over_chat.sync(**place, chat_id=chat.chat_id).mode == "human"
assert take_over_chat.sync(**place, chat_id=chat.chat_id, body=TakeOver(hours=1)).resume_at
body = Send(instagram_user_id=told["customer"], message="By a generated client")
sent = send_message.sync(**place, body=body, idempotency_key="python-1")
assert sent.message_id, sent
assert release_chat.sync(**place, chat_id=chat.chat_id).mode == "bot"

refused = send_message.sync_detailed(**place, body=Send(instagram_user_id="none", message=""))
assert refused.status_code == 422 and refused.parsed.code == "invalid-request", refused
picture = get_qr_code.sync_detailed(**place)
assert picture.content.startswith(b"<"), picture.content[:20]
messages = list_messages.sync(**place, instagram_user_id=told["customer"])
print(json.dumps({"chat": str(chat.chat_id), "message": str(sent.message_id), "count": messages.total}))

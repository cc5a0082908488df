//! Authorization: roles and their permissions, in one table.

use crate::states::words;

words!(
    /// A caller's role in a subaccount.
    Role {
        /// Read only.
        Viewer = "viewer",
        /// Also writes to customers, takes over chats, pauses calls and replays dead letters.
        Operator = "operator",
        /// Also connects accounts, changes their settings and who is notified, sends broadcasts, and erases customers.
        Admin = "admin",
        /// Also manages API keys.
        Owner = "owner",
    }
);

words!(
    /// The permission a call requires.
    Permission {
        /// See connections, chats, messages, activities and dead letters.
        Read = "instagram:read",
        /// Write to a customer.
        Send = "instagram:send",
        /// Take over a chat from the agent, and return it.
        TakeOver = "instagram:takeover",
        /// Replay or discard dead letters.
        Replay = "instagram:replay",
        /// Pause questions to the agent, sends and connecting, and resume them.
        Pause = "instagram:pause",
        /// Connect and disconnect accounts.
        Connect = "instagram:connect",
        /// Change a connection's settings.
        Configure = "instagram:configure",
        /// Send broadcasts.
        Broadcast = "instagram:broadcast",
        /// Erase a customer.
        Erase = "instagram:erase",
        /// See and change who is notified of incidents.
        Notify = "notifications:manage",
        /// List, create and revoke sessions of people.
        ManageSessions = "sessions:manage",
        /// List, create and revoke API keys.
        ManageKeys = "keys:manage",
    }
);

impl Role {
    /// Whether the role includes the permission.
    pub fn may(self, permission: Permission) -> bool {
        let least = match permission {
            Permission::Read => Self::Viewer,
            Permission::Send | Permission::TakeOver | Permission::Replay | Permission::Pause => {
                Self::Operator
            }
            Permission::Connect
            | Permission::Configure
            | Permission::Broadcast
            | Permission::Erase
            | Permission::Notify
            | Permission::ManageSessions => Self::Admin,
            Permission::ManageKeys => Self::Owner,
        };
        self as u8 >= least as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_includes_the_one_below() {
        let may = |role: Role| Permission::ALL.iter().filter(|p| role.may(**p)).count();
        assert_eq!(Role::ALL.iter().map(|role| may(*role)).collect::<Vec<_>>(), [1, 5, 11, 12]);
    }
}

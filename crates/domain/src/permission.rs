//! Who may do what: roles to permissions, in one table.

use crate::states::words;

words!(
    /// What a principal may be in a subaccount.
    Role {
        /// Looks.
        Viewer = "viewer",
        /// Looks, writes to customers, takes chats over, and replays what failed.
        Operator = "operator",
        /// Also connects accounts and changes their settings.
        Admin = "admin",
        /// Also hands out keys.
        Owner = "owner",
    }
);

words!(
    /// What a call needs.
    Permission {
        /// See connections, chats, messages, activities and dead letters.
        Read = "instagram:read",
        /// Write to a customer.
        Send = "instagram:send",
        /// Take a chat over from the agent, and give it back.
        TakeOver = "instagram:takeover",
        /// Replay or discard dead letters.
        Replay = "instagram:replay",
        /// Connect and disconnect accounts.
        Connect = "instagram:connect",
        /// Change a connection's settings.
        Configure = "instagram:configure",
        /// List, make and revoke API keys.
        ManageKeys = "keys:manage",
    }
);

impl Role {
    /// Whether the role includes the permission.
    pub fn may(self, permission: Permission) -> bool {
        let least = match permission {
            Permission::Read => Self::Viewer,
            Permission::Send | Permission::TakeOver | Permission::Replay => Self::Operator,
            Permission::Connect | Permission::Configure => Self::Admin,
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
        assert_eq!(Role::ALL.iter().map(|role| may(*role)).collect::<Vec<_>>(), [1, 4, 6, 7]);
    }
}

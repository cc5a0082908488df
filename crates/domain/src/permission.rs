//! Who may do what: roles to permissions, in one table.

use crate::states::words;

words!(
    /// What a principal may be in a subaccount.
    Role {
        /// Looks.
        Viewer = "viewer",
        /// Looks, and writes to customers.
        Operator = "operator",
        /// Also connects accounts.
        Admin = "admin",
        /// Also hands out keys.
        Owner = "owner",
    }
);

words!(
    /// What a call needs.
    Permission {
        /// See connections, chats and messages.
        Read = "instagram:read",
        /// Write to a customer.
        Send = "instagram:send",
        /// Connect and disconnect accounts.
        Connect = "instagram:connect",
    }
);

impl Role {
    /// Whether the role includes the permission.
    pub fn may(self, permission: Permission) -> bool {
        let least = match permission {
            Permission::Read => Self::Viewer,
            Permission::Send => Self::Operator,
            Permission::Connect => Self::Admin,
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
        assert_eq!(Role::ALL.iter().map(|role| may(*role)).collect::<Vec<_>>(), [1, 2, 3, 3]);
    }
}

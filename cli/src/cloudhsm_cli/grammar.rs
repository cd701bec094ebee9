//! The commands as they are typed, on the command line and at the prompt.

use clap::{Args, Parser, Subcommand, ValueEnum};
use zeroize::Zeroizing;

/// A line at the prompt.
#[derive(Parser)]
#[command(name = "cloudhsm-cli", no_binary_name = true)]
pub struct Line {
    #[command(subcommand)]
    pub command: Command,
}

/// What may be asked.
#[derive(Subcommand)]
pub enum Command {
    /// Read commands from a prompt, or from standard input, until `quit`
    Interactive,
    /// The cluster and its HSMs
    Cluster {
        #[command(subcommand)]
        command: Cluster,
    },
    /// Log in to every HSM of the cluster
    Login(Login),
    /// Log out
    Logout,
    /// Users
    User {
        #[command(subcommand)]
        command: User,
    },
    /// Keys
    Key {
        #[command(subcommand)]
        command: Key,
    },
    /// Leave the prompt
    #[command(alias = "exit")]
    Quit,
}

#[derive(Subcommand)]
pub enum Cluster {
    /// Set the first admin's password, which activates the cluster
    Activate {
        /// The new password; without it you are asked
        #[arg(long)]
        password: Option<Zeroizing<String>>,
    },
    /// Show each HSM
    HsmInfo,
}

/// Who a user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Manages and uses keys
    CryptoUser,
    /// Manages users
    Admin,
}

/// A user, by name and role.
#[derive(Args)]
pub struct Named {
    /// The user's name
    #[arg(long)]
    pub username: String,
    /// The user's role
    #[arg(long)]
    pub role: Role,
}

#[derive(Args)]
pub struct Login {
    #[command(flatten)]
    pub user: Named,
    /// The password; without it you are asked
    #[arg(long)]
    pub password: Option<Zeroizing<String>>,
}

#[derive(Subcommand)]
pub enum User {
    /// Make a user (admin)
    Create(Login),
    /// Delete a user (admin)
    Delete(Named),
    /// Show all users
    List,
    /// Change a password: an admin anybody's, others their own
    ChangePassword(Login),
}

#[derive(Subcommand)]
pub enum Key {
    /// Show the keys that the user owns or shares
    List {
        #[command(flatten)]
        filter: Filter,
        /// So many keys at most
        #[arg(long, default_value_t = 10)]
        max_items: usize,
        /// The next-token of an answer that was cut
        #[arg(long)]
        starting_token: Option<String>,
        /// All attributes
        #[arg(long, short)]
        verbose: bool,
    },
    /// Make a secret key
    GenerateSymmetric {
        #[command(subcommand)]
        kind: Symmetric,
    },
    /// Make a key pair
    GenerateAsymmetricPair {
        #[command(subcommand)]
        kind: Pair,
    },
    /// Delete the key that matches
    Delete {
        #[command(flatten)]
        filter: Filter,
    },
    /// Set an attribute of the key that matches
    SetAttribute {
        #[command(flatten)]
        filter: Filter,
        /// The attribute's name
        #[arg(long)]
        name: String,
        /// Its new value
        #[arg(long)]
        value: String,
    },
    /// Let another crypto user use the key that matches
    Share(Share),
    /// No longer let another crypto user use the key that matches
    Unshare(Share),
}

/// Which keys are meant.
#[derive(Args)]
pub struct Filter {
    /// key-reference=0x..., or attr.NAME=VALUE, several of which must all fit
    #[arg(long, num_args = 0.., value_name = "FILTER")]
    pub filter: Vec<String>,
}

#[derive(Args)]
pub struct Share {
    #[command(flatten)]
    pub filter: Filter,
    #[command(flatten)]
    pub with: Named,
}

#[derive(Subcommand)]
pub enum Symmetric {
    /// An AES key of 16, 24 or 32 bytes
    Aes(Secret),
    /// A generic secret
    GenericSecret(Secret),
}

#[derive(Args)]
pub struct Secret {
    /// The key's label
    #[arg(long)]
    pub label: String,
    /// Its length
    #[arg(long)]
    pub key_length_bytes: u64,
    /// For as long as this tool is logged in
    #[arg(long)]
    pub session: bool,
    /// NAME=VALUE, several
    #[arg(long, num_args = 0.., value_name = "ATTRIBUTE")]
    pub attributes: Vec<String>,
    /// Crypto users who may use it too
    #[arg(long, num_args = 0.., value_name = "USERNAME")]
    pub share_crypto_users: Vec<String>,
}

#[derive(Subcommand)]
pub enum Pair {
    /// RSA
    Rsa {
        #[command(flatten)]
        both: Both,
        /// 2048 to 4096, in steps of 256
        #[arg(long)]
        modulus_size_bits: u64,
        /// An odd number from 65537
        #[arg(long)]
        public_exponent: u64,
    },
    /// Elliptic curves
    Ec {
        #[command(flatten)]
        both: Both,
        /// The curve
        #[arg(long)]
        curve: Curve,
    },
}

/// What both halves of a pair are told.
#[derive(Args)]
pub struct Both {
    /// The public key's label
    #[arg(long)]
    pub public_label: String,
    /// The private key's label
    #[arg(long)]
    pub private_label: String,
    /// For as long as this tool is logged in
    #[arg(long)]
    pub session: bool,
    /// NAME=VALUE, several
    #[arg(long, num_args = 0.., value_name = "ATTRIBUTE")]
    pub public_attributes: Vec<String>,
    /// NAME=VALUE, several
    #[arg(long, num_args = 0.., value_name = "ATTRIBUTE")]
    pub private_attributes: Vec<String>,
    /// Crypto users who may use the private key too
    #[arg(long, num_args = 0.., value_name = "USERNAME")]
    pub share_crypto_users: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Curve {
    #[value(name = "prime256v1", alias = "secp256r1")]
    P256,
    #[value(name = "secp224r1")]
    P224,
    #[value(name = "secp256k1")]
    K256,
    #[value(name = "secp384r1")]
    P384,
    #[value(name = "secp521r1")]
    P521,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_password_is_wiped() {
        fn wiped(_: &impl zeroize::ZeroizeOnDrop) {}
        let words = "login --username a --role admin --password pass:word";
        let Command::Login(login) = Line::parse_from(words.split(' ')).command else {
            panic!("another command");
        };
        let password = login.password.unwrap();
        wiped(&password);
        assert_eq!(*password, "pass:word");
        let words = ["cluster", "activate", "--password", "two words"];
        let Command::Cluster {
            command: Cluster::Activate { password },
        } = Line::parse_from(words).command
        else {
            panic!("another command");
        };
        wiped(password.as_ref().unwrap());
        assert_eq!(*password.unwrap(), "two words");
    }
}
